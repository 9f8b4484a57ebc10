-- Bars of any length from 1 second to a day, aligned to the sessions of US exchanges: days are New York days, and bars are aligned to 09:30
-- New York time in both directions, so that hourly bars begin at 08:30, 09:30, 10:30. The first bar of a day begins at midnight and may be
-- shorter. Bar lengths are elapsed time: when New York changes to or from daylight saving time, a day has 23 or 25 hours, and the repeated
-- hour gets separate bars. Bars of 86,400 seconds are whole days, from midnight to midnight. `hours` is 'all', or 'regular' for trades from
-- 09:30 to before 16:00 only; holidays and early closes are not taken into account. Summed as in market_interval_bars, per minute or else
-- per second. Returns all bars that begin at or after `since` and before `until`, each complete.
CREATE VIEW IF NOT EXISTS market_session_bars AS
SELECT
    -- The New York date, and the start of the bar in UTC.
    toDate(midnight) AS day,
    toDateTime(if({seconds:UInt32} = 86400, midnight, greatest(midnight, piece - positiveModulo(elapsed, {seconds:UInt32}))), 'UTC') AS time,
    argMin(first, piece) AS open,
    max(highest) AS high,
    min(lowest) AS low,
    argMax(last, piece) AS close,
    toFloat64(sum(shares)) AS volume,
    sum(paid) AS notional,
    notional / nullIf(sum(shares), 0) AS vwap,
    sum(count) AS trades
FROM
(
    SELECT
        toDateTime(begun, 'America/New_York') AS piece,
        toStartOfDay(piece) AS midnight,
        -- 09:30 is 34,200 seconds after midnight, corrected for a clock change since midnight.
        midnight + 34200 + timezoneOffset(midnight) - timezoneOffset(midnight + 34200) AS opening,
        toInt64(toUnixTimestamp(piece)) - toInt64(toUnixTimestamp(opening)) AS elapsed,
        first,
        highest,
        lowest,
        last,
        shares,
        paid,
        count
    FROM
    (
        -- The two halves of market_interval_bars, per minute or else per second, repeated here because a nested view takes twice as long to
        -- plan. 3,600 covers the longest day, which has an hour more.
        -- Equal scalar subqueries are evaluated once, before the union reads, so both halves use the same buckets.
        WITH (SELECT groupArray(bucket) FROM market_rollup_state FINAL WHERE rollup = 'bars' AND computed_at <= inserted_at + INTERVAL 10 SECOND) AS stale
        SELECT
            minute AS begun,
            open AS first,
            high AS highest,
            low AS lowest,
            close AS last,
            toDecimal128(toString(volume), 8) AS shares,
            notional AS paid,
            toUInt64(trades) AS count
        FROM market_bars_1m FINAL
        WHERE {seconds:UInt32} % 60 = 0
            AND symbol = {symbol:String}
            AND minute >= toDateTime({since:DateTime64(6, 'UTC')}, 'UTC')
            AND minute < toDateTime({until:DateTime64(6, 'UTC')}, 'UTC') + {seconds:UInt32} + 3600
            AND trades > 0
            AND toStartOfFiveMinutes(minute) NOT IN arraySort(stale)
        UNION ALL
        WITH (SELECT groupArray(bucket) FROM market_rollup_state FINAL WHERE rollup = 'bars' AND computed_at <= inserted_at + INTERVAL 10 SECOND) AS stale
        SELECT
            toDateTime(intDiv(toUnixTimestamp(timestamp), if({seconds:UInt32} % 60 = 0, 60, 1) AS length) * length, 'UTC') AS begun,
            argMin(price, position),
            max(price),
            min(price),
            argMax(price, position),
            sum(toDecimal128(toString(size), 8) AS exact_size),
            CAST(sum(toDecimal128(price, 8) * exact_size) AS Decimal(38, 8)),
            count()
        FROM market_ticks FINAL
        WHERE symbol = {symbol:String}
            AND timestamp >= {since:DateTime64(6, 'UTC')}
            AND timestamp < {until:DateTime64(6, 'UTC')} + toIntervalSecond({seconds:UInt32} + 3600)
            AND ({seconds:UInt32} % 60 != 0 OR toStartOfFiveMinutes(timestamp) IN arraySort(stale))
            AND correction != 'delete'
            AND (timestamp, tick_id, price, size, conditions) NOT IN
            (
                SELECT timestamp, tick_id, price, size, conditions
                FROM market_ticks
                WHERE symbol = {symbol:String}
                    AND timestamp >= {since:DateTime64(6, 'UTC')}
                    AND timestamp < {until:DateTime64(6, 'UTC')} + toIntervalSecond({seconds:UInt32} + 3600)
                    AND correction = 'delete'
                    AND tick_id != 0
            )
        GROUP BY begun
    )
    WHERE {hours:Enum8('all' = 0, 'regular' = 1)} = 'all' OR (elapsed >= 0 AND elapsed < 23400)
)
GROUP BY day, time
HAVING time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
