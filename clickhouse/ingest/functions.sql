    -- A number of at most 8 decimals as it stands; one with more, or with an exponent, rounded half away from zero, as its ninth decimal
    -- says. NULL for other text, and for a number that is not 0 and would become 0.
    (number -> if(
        match(number, '^-?[0-9]+([.][0-9]{1,8})?$'),
        toDecimal64OrNull(number, 8),
        if(
            match(number, '^[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?$')
                AND NOT (ifNull(round(toDecimal128OrNull(number, 9), 8), 0) = 0 AND match(number, '^[^eE]*[1-9]')),
            accurateCastOrNull(round(toDecimal128OrNull(number, 9), 8), 'Decimal(18, 8)'),
            NULL
        )
    )) AS price_of,
    -- To add 0 makes 0 of -0. Above 2^53 a double does not hold every whole number.
    (number -> toFloat64OrNull(number) + 0) AS size_of,
    (size -> ifNull((size >= 0) + (size <= 9007199254740992), 0) != 2) AS is_no_size,
    -- Whole, also written as 7.0; 0 where it is left out, NULL for all else.
    (number -> if(
        toUInt64OrNull(if(number = '', '0', number)) IS NULL,
        toUInt64OrNull(if(match(number, '^[0-9]+[.]0*$'), substringIndex(number, '.', 1), '')),
        toUInt64OrNull(if(number = '', '0', number))
    )) AS whole_of,
    -- Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their magnitude, or ISO 8601. Of other text the parser
    -- makes times that nobody sent: of `12` a day of this month, of `10:00:00` one of this year's first day, of hour 25 the next day.
    (text -> if(
        match(text, '^[0-9]{9,19}([.][0-9]+)?$'),
        fromUnixTimestamp64Micro(multiIf(
            toFloat64OrZero(text) < 1e10, toInt64(round(toFloat64OrZero(text) * 1e6)),
            toFloat64OrZero(text) < 1e13, toInt64(round(toFloat64OrZero(text) * 1e3)),
            toFloat64OrZero(text) < 1e16, toInt64(round(toFloat64OrZero(text))),
            intDiv(toInt64OrZero(substringIndex(text, '.', 1)), 1000)
        ), 'UTC'),
        parseDateTime64BestEffortOrNull(if(match(
            text,
            '^(19[7-9]|20[0-9]|210)[0-9]-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,9})?)?)?( ?(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?))?$'
        ), text, ''), 6, 'UTC')
    )) AS time_of,
    -- On 2106-02-07 the seconds end that DateTime counts: the tables of minutes would show a later trade in another century.
    (time -> ifNull((time >= toDateTime64('1970-01-02', 6, 'UTC')) + (time < toDateTime64('2106-02-07', 6, 'UTC')), 0) != 2) AS is_no_time,
    -- Empty, with space around it, or no text in the message: ["SPY"] and true would come out as symbols. Of an array JSONExtract takes the
    -- elements in turn, as if they were the fields.
    ((symbol, message) -> if(
        match(symbol, '^[A-Z][!-~]*$') AND startsWith(message, '{'),
        0,
        symbol = '' OR match(symbol, '^[\\s\\pZ]|[\\s\\pZ]$') OR NOT match(message, '^\\s*[{]') OR NOT match(message, '"symbol"\\s*:\\s*"')
    )) AS is_no_symbol,
    ((name, other) -> if(name = '', other, name)) AS either,
    -- What JSON has no word for, such as Python's NaN or a number beyond 64 bits, makes the whole message unreadable. As text it spoils
    -- only the field that it stands in, if anybody asks for that. A match is one number and what stands before it, strings as a whole. With
    -- a number behind all the rest, nothing is left over.
    (message -> substring(replaceRegexpAll(
        if(message = '', '', concat(message, ' 0')),
        '((?:"(?:[^"\\\\]|\\\\.)*"|[\\s,:\\[\\]{}]|true|false|null)*)(-?(?:(?i:nan|inf(?:inity)?)|(?:0|[1-9][0-9]*)(?:[.][0-9]+)?(?:[eE][-+]?[0-9]+)?))',
        '\\1"\\2"'
    ), 1, -4)) AS quoted,
    ((message, fields, wrong) -> multiIf(
        NOT isValidJSON(quoted(message)), 'not JSON',
        NOT match(message, '^\\s*[{]'), 'not a JSON object',
        concat('cannot use: ', arrayStringConcat(arrayFilter((field, bit) -> bitTest(wrong, bit), fields, range(length(fields))), ', '))
    )) AS reason,
    -- When the producer sent it, as milliseconds; microseconds and nanoseconds are known by their magnitude. A time that none of them
    -- explains is 1970-01-01.
    (ms -> toDateTime64(fromUnixTimestamp64Milli(multiIf(
        ms BETWEEN 0 AND 4294944000000, ms,
        ms BETWEEN 0 AND 4294944000000000, intDiv(ms, 1000),
        ms BETWEEN 0 AND 4294944000000000000, intDiv(ms, 1000000),
        0
    )), 3, 'UTC')) AS sent_at,
