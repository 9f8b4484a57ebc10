    -- Rounded half away from zero: of what is behind the eighth decimal, the ninth decides.
    (number -> accurateCastOrNull(round(toDecimal128OrNull(number, 9), 8), 'Decimal(18, 8)')) AS price_of,
    -- The parser takes 1.2.3 for 1.23, and - for 0. The cast does not mind a nineteenth digit. And a price that is not 0 must not become 0.
    ((price, number) -> price IS NULL OR NOT match(number, '^[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?$')
        OR ifNull(abs(price) >= 10000000000, 0) OR ifNull(price = 0 AND match(number, '^[^eE]*[1-9]'), 0)) AS is_no_price,
    -- To add 0 makes 0 of -0. Above 2^53 a double does not hold every whole number.
    (number -> toFloat64OrNull(number) + 0) AS size_of,
    (size -> ifNull((size >= 0) + (size <= 9007199254740992), 0) != 2) AS is_no_size,
    -- Whole, also written as 7.0; 0 where it is left out, NULL for all else.
    (number -> toUInt64OrNull(multiIf(number = '', '0', match(number, '[.]0*$'), substringIndex(number, '.', 1), number))) AS whole_of,
    -- Seconds, milliseconds, microseconds or nanoseconds since 1970, by magnitude, or ISO 8601.
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
    -- Of other text the parser makes times that nobody sent: of hour 25 the next day. On 2106-02-07 the seconds end that DateTime counts:
    -- the tables of minutes would show a later trade in another century.
    ((time, text) -> ifNull((time >= '1970-01-02 00:00:00') + (time < '2106-02-07 00:00:00') + match(
        text,
        '^((19[7-9]|20[0-9]|210)[0-9]-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,9})?)?)?( ?(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?))?|([0-9]{9,10}|[0-9]{12,13}|[0-9]{15,16}|[0-9]{18,19})([.][0-9]+)?)$'
    ), 0) != 3) AS is_no_time,
    -- Empty, with space around it, or no text in the message: ["SPY"] and true would come out as symbols. Of an array JSONExtract takes the
    -- elements in turn, as if they were the fields.
    ((symbol, message) -> if(
        match(symbol, '^[A-Z][!-~]*$') AND startsWith(message, '{'),
        0,
        symbol = '' OR match(symbol, '^[\\s\\pZ]|[\\s\\pZ]$') OR NOT match(message, '^\\s*[{]') OR NOT match(message, '"symbol"\\s*:\\s*"')
    )) AS is_no_symbol,
    -- What JSON has no word for, such as Python's NaN or a number beyond 64 bits, makes the whole message unreadable. As text it spoils
    -- only the field that it stands in, if anybody asks for that. A match is one number and what stands before it, strings as a whole. With
    -- a number behind all the rest, nothing is left over.
    (message -> substring(replaceRegexpAll(
        if(message = '', '', concat(message, ' 0')),
        '((?:"(?:[^"\\\\]|\\\\.)*"|[\\s,:\\[\\]{}]|true|false|null)*)(-?(?:(?i:nan|inf(?:inity)?)|(?:0|[1-9][0-9]*)(?:[.][0-9]+)?(?:[eE][-+]?[0-9]+)?))',
        '\\1"\\2"'
    ), 1, -4)) AS quoted,
    -- From the message, and the names of its fields that cannot be used, '' for those that can.
    ((message, fields) -> multiIf(
        NOT isValidJSON(quoted(message)), 'not JSON',
        NOT match(message, '^\\s*[{]'), 'not a JSON object',
        concat('cannot use: ', arrayStringConcat(arrayFilter(field -> field != '', fields), ', '))
    )) AS reason,
    -- When the producer sent it, as milliseconds; microseconds and nanoseconds are known by their magnitude. A time that none of them
    -- explains is 1970-01-01.
    (ms -> fromUnixTimestamp64Milli(multiIf(
        ms < 0, 0,
        ms < 4294944000000, ms,
        ms < 4294944000000000, intDiv(ms, 1000),
        ms < 4294944000000000000, intDiv(ms, 1000000),
        0
    ), 'UTC')) AS sent_at,
