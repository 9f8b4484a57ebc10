-- Rows arrived: their buckets are stale. nowInBlock64, since now64 stands still during a long INSERT.
CREATE MATERIALIZED VIEW IF NOT EXISTS market_bars_stale TO market_rollup_state AS
SELECT DISTINCT 'bars' AS rollup, toStartOfFiveMinutes(timestamp) AS bucket, nowInBlock64(6, 'UTC') AS inserted_at
FROM market_ticks
