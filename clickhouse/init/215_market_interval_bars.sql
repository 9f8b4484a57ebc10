-- Bars of any length from 1 to 86,400 seconds (a day), aligned to 1970-01-01 00:00 UTC, so that minutes, hours and days are UTC. Returns all
-- bars that begin at or after `since` and before `until`, each complete; an interval without trades has no bar. Every trade counts once, and
-- corrections are applied, as in market_bars: bars of whole minutes are summed from the roll-up where it is fresh, all others from the
-- trades. Sums are as exact as in market_bars: volume to 15 digits per minute, notional to eight decimals.
CREATE VIEW IF NOT EXISTS market_interval_bars AS
SELECT
    toDateTime(intDiv(toUnixTimestamp(piece), {seconds:UInt32}) * {seconds:UInt32}, 'UTC') AS time,
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
    -- Equal scalar subqueries are evaluated once, before the union reads, so both halves use the same buckets.
    WITH (SELECT groupArray(bucket) FROM market_rollup_state FINAL WHERE rollup = 'bars' AND computed_at <= inserted_at + INTERVAL 10 SECOND) AS stale
    SELECT
        minute AS piece,
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
        AND minute < toDateTime({until:DateTime64(6, 'UTC')}, 'UTC') + {seconds:UInt32}
        AND trades > 0
        AND toStartOfFiveMinutes(minute) NOT IN arraySort(stale)
    UNION ALL
    -- Per minute if the bars are whole minutes, like the other half; otherwise per bar.
    WITH (SELECT groupArray(bucket) FROM market_rollup_state FINAL WHERE rollup = 'bars' AND computed_at <= inserted_at + INTERVAL 10 SECOND) AS stale
    SELECT
        toDateTime(intDiv(toUnixTimestamp(timestamp), if({seconds:UInt32} % 60 = 0, 60, {seconds:UInt32}) AS length) * length, 'UTC') AS piece,
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
        AND timestamp < {until:DateTime64(6, 'UTC')} + toIntervalSecond({seconds:UInt32})
        AND ({seconds:UInt32} % 60 != 0 OR toStartOfFiveMinutes(timestamp) IN arraySort(stale))
        AND correction != 'delete'
        AND (timestamp, tick_id, price, size, conditions) NOT IN
        (
            SELECT timestamp, tick_id, price, size, conditions
            FROM market_ticks
            WHERE symbol = {symbol:String}
                AND timestamp >= {since:DateTime64(6, 'UTC')}
                AND timestamp < {until:DateTime64(6, 'UTC')} + toIntervalSecond({seconds:UInt32})
                AND correction = 'delete'
                AND tick_id != 0
        )
    GROUP BY piece
)
GROUP BY time
HAVING time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
