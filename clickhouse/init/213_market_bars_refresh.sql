-- Rolls up the buckets that are due, three hours of data per run: with 2,000 symbols, a day or more per run would take 100 MB or more. A
-- year of sessions, loaded as history, takes three quarters of an hour. Aggregation at insert time would count duplicate rows twice.
CREATE MATERIALIZED VIEW IF NOT EXISTS market_bars_refresh REFRESH EVERY 5 SECOND APPEND TO market_bars_1m AS
-- Equal scalar subqueries are evaluated once, so both halves of the union use the same buckets.
WITH (SELECT groupArray(bucket) FROM market_rollup_due(rollup = 'bars', buckets = 36)) AS taken
SELECT
    symbol,
    toStartOfMinute(timestamp) AS minute,
    argMinIf(price, position, (correction != 'delete' AND (symbol, timestamp, tick_id, price, size, conditions) NOT IN
    (
        SELECT symbol, timestamp, tick_id, price, size, conditions FROM market_ticks WHERE correction = 'delete' AND tick_id != 0
    )) AS holds) AS open,
    maxIf(price, holds) AS high,
    minIf(price, holds) AS low,
    argMaxIf(price, position, holds) AS close,
    toFloat64(sumIf(toDecimal128(toString(size), 8) AS exact_size, holds)) AS volume,
    CAST(sumIf(toDecimal128(price, 8) * exact_size, holds) AS Decimal(38, 8)) AS notional,
    countIf(holds) AS trades,
    now64(6, 'UTC') AS computed_at
FROM market_ticks FINAL
WHERE toStartOfFiveMinutes(timestamp) IN arraySort(taken)
GROUP BY symbol, minute
-- Marks buckets whose rows were all deleted as done; otherwise they would stay the oldest stale buckets forever.
UNION ALL
WITH (SELECT groupArray(bucket) FROM market_rollup_due(rollup = 'bars', buckets = 36)) AS taken
SELECT '', arrayJoin(taken), 0, 0, 0, 0, 0, 0, 0, now64(6, 'UTC')
