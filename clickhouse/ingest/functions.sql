    -- Rounds half away from zero to eight decimals, by the ninth decimal only.
    (number -> accurateCastOrNull(round(toDecimal128OrNull(number, 9), 8), 'Decimal(18, 8)')) AS price_of,
    -- The pattern is needed because the parser reads 1.2.3 as 1.23 and - as 0. The cast accepts a nineteenth digit, hence the limit. A
    -- non-zero price must not be rounded to 0.
    ((price, number) -> price IS NULL OR NOT match(number, '^[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?$')
        OR ifNull(abs(price) >= 10000000000, 0) OR ifNull(price = 0 AND match(number, '^[^eE]*[1-9]'), 0)) AS is_no_price,
    -- Adding 0 turns -0 into 0. Above 2^53, a Float64 does not represent every integer.
    (number -> toFloat64OrNull(number) + 0) AS size_of,
    (size -> ifNull((size >= 0) + (size <= 9007199254740992), 0) != 2) AS is_no_size,
    -- An integer, also in the form 7.0; 0 if missing, NULL if invalid.
    (number -> toUInt64OrNull(multiIf(number = '', '0', match(number, '[.]0*$'), substringIndex(number, '.', 1), number))) AS whole_of,
    -- ISO 8601, or seconds, milliseconds, microseconds or nanoseconds since 1970, recognized by magnitude.
    ((text, epoch) -> if(
        position(text, '-') = 5,
        parseDateTime64BestEffortOrNull(text, 6, 'UTC'),
        fromUnixTimestamp64Micro(multiIf(
            epoch < 1e10, toInt64(round(epoch * 1e6)),
            epoch < 1e13, toInt64(round(epoch * 1e3)),
            epoch < 1e16, toInt64(round(epoch)),
            intDiv(toInt64OrZero(substringIndex(text, '.', 1)), 1000)
        ), 'UTC')
    )) AS time_of,
    -- The pattern is needed because the parser accepts invalid times: hour 25 becomes the next day. DateTime ends on 2106-02-07: in the
    -- tables of minutes, later times would wrap around to another century.
    ((time, text) -> ifNull((time >= '1970-01-02 00:00:00') + (time < '2106-02-07 00:00:00') + match(
        text,
        '^((19[7-9]|20[0-9]|210)[0-9]-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,9})?)?)?( ?(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?))?|([0-9]{9,10}|[0-9]{12,13}|[0-9]{15,16}|[0-9]{18,19})([.][0-9]+)?)$'
    ), 0) != 3) AS is_no_time,
    -- A symbol is missing if it is empty, has surrounding space, or is not a string in the message: ["SPY"] and true would become symbols.
    -- From a JSON array, JSONExtract would read the elements in order, as if they were the fields.
    ((symbol, message) -> if(
        match(symbol, '^[A-Z][!-~]*$') AND startsWith(message, '{'),
        0,
        symbol = '' OR match(symbol, '^[\\s\\pZ]|[\\s\\pZ]$') OR NOT match(message, '^\\s*[{]') OR NOT match(message, '"symbol"\\s*:\\s*"')
    )) AS is_no_symbol,
    -- Quotes all numbers. A literal that JSON does not allow, such as Python's NaN or a number beyond 64 bits, makes the whole message
    -- unreadable; quoted, it affects only its own field. Each match is a number and the text before it, where strings are skipped whole.
    -- The appended number makes the last match cover the rest of the text.
    (message -> substring(replaceRegexpAll(
        if(message = '', '', concat(message, ' 0')),
        '((?:"(?:[^"\\\\]|\\\\.)*"|[\\s,:\\[\\]{}]|true|false|null)*)(-?(?:(?i:nan|inf(?:inity)?)|(?:0|[1-9][0-9]*)(?:[.][0-9]+)?(?:[eE][-+]?[0-9]+)?))',
        '\\1"\\2"'
    ), 1, -4)) AS quoted,
    -- The error text, from the message and the names of its invalid fields ('' for valid ones).
    ((message, fields) -> multiIf(
        NOT isValidJSON(quoted(message)), 'not JSON',
        NOT match(message, '^\\s*[{]'), 'not a JSON object',
        concat('cannot use: ', arrayStringConcat(arrayFilter(field -> field != '', fields), ', '))
    )) AS reason,
    -- The time of sending, in milliseconds. Microseconds and nanoseconds are recognized by magnitude. Any other value becomes 1970-01-01.
    (ms -> fromUnixTimestamp64Milli(multiIf(
        ms < 0, 0,
        ms < 4294944000000, ms,
        ms < 4294944000000000, intDiv(ms, 1000),
        ms < 4294944000000000000, intDiv(ms, 1000000),
        0
    ), 'UTC')) AS sent_at,
