-- Like market_bars_refresh, with two and a half hours of data per run: a year of sessions takes an hour. Grouping spills to disk beyond
-- 64 MiB.
CREATE MATERIALIZED VIEW IF NOT EXISTS market_book_refresh REFRESH EVERY 5 SECOND APPEND TO market_book_1m AS
WITH (SELECT groupArray(bucket) FROM market_rollup_due(rollup = 'book', buckets = 30)) AS taken
SELECT
    symbol,
    toStartOfMinute(timestamp) AS minute,
    side,
    entry_order,
    entry_maker,
    entry_price,
    max(market_l2.position) AS position,
    argMax(market_l2.operation, market_l2.position) AS operation,
    argMax(market_l2.price, market_l2.position) AS price,
    argMax(market_l2.size, market_l2.position) AS size,
    argMax(market_l2.order_count, market_l2.position) AS order_count,
    now64(6, 'UTC') AS computed_at
FROM market_l2
WHERE toStartOfFiveMinutes(timestamp) IN arraySort(taken)
GROUP BY symbol, minute, side, entry_order, entry_maker, entry_price
UNION ALL
WITH (SELECT groupArray(bucket) FROM market_rollup_due(rollup = 'book', buckets = 30)) AS taken
SELECT '', arrayJoin(taken), 'ask', 0, '', 0, 0, 'clear', 0, 0, 0, now64(6, 'UTC')
