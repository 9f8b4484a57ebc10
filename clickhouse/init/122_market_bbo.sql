-- The top of book, sampled at the end of each interval of `seconds` that begins at or after `since` and before `until`: the last quote
-- before `time`, carried forward over intervals without a quote (as in Databento's BBO-1s and BBO-1m). Intervals are aligned to
-- 1970-01-01 00:00 UTC, as in market_interval_bars: the sample at 14:31:00 belongs to the bar of 14:30:00. `quoted_at` is the time of the
-- quote. There is no sample before the first quote. Holds one quote per interval in memory.
CREATE VIEW IF NOT EXISTS market_bbo AS
SELECT
    time,
    quote.1 AS quoted_at,
    quote.2 AS bid,
    quote.3 AS ask,
    quote.4 AS bid_size,
    quote.5 AS ask_size,
    -- As in market_l1, but computed for the samples only.
    if(((bid_size > 0 AND ask_size > 0) OR (bid_size = 0 AND ask_size = 0 AND bid > 0 AND ask > 0)) AS two_sided, ask - bid, NULL) AS spread,
    if(two_sided, (toDecimal128(bid, 9) + ask) / 2, NULL) AS mid
FROM
(
    SELECT
        -- The end of the interval. A quote before the first interval belongs to the first one.
        toDateTime
        (
            greatest
            (
                intDiv(toUnixTimestamp(timestamp), {seconds:UInt32}) + 1,
                intDiv(toUnixTimestamp64Micro({since:DateTime64(6, 'UTC')}) - 1, {seconds:UInt32} * 1000000) + 2
            ) * {seconds:UInt32}, 'UTC'
        ) AS time,
        -- A single argMax of a tuple would take a third longer.
        (
            max(timestamp), argMax(bid, position), argMax(ask, position), argMax(bid_size, position), argMax(ask_size, position)
        ) AS quote
    FROM market_l1 FINAL
    WHERE symbol = {symbol:String}
        -- Starts at the quote in effect at `since`, found by reading the key backwards.
        AND timestamp >= ifNull
        (
            (
                SELECT timestamp
                FROM market_l1
                WHERE symbol = {symbol:String} AND timestamp < {since:DateTime64(6, 'UTC')}
                ORDER BY timestamp DESC
                LIMIT 1
            ),
            {since:DateTime64(6, 'UTC')}
        )
        AND timestamp < {until:DateTime64(6, 'UTC')} + toIntervalSecond({seconds:UInt32})
    GROUP BY time
    HAVING time <= intDiv(toUnixTimestamp64Micro({until:DateTime64(6, 'UTC')}) - 1, {seconds:UInt32} * 1000000) * {seconds:UInt32} + {seconds:UInt32}
    ORDER BY time WITH FILL
        TO toDateTime((intDiv(toUnixTimestamp64Micro({until:DateTime64(6, 'UTC')}) - 1, {seconds:UInt32} * 1000000) + 2) * {seconds:UInt32}, 'UTC')
        STEP {seconds:UInt32}
    INTERPOLATE (quote)
)
