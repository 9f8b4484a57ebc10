-- Marks the buckets of inserted rows as stale. Uses nowInBlock64, because now64 is constant during a long INSERT.
CREATE MATERIALIZED VIEW IF NOT EXISTS market_bars_stale TO market_rollup_state AS
SELECT DISTINCT 'bars' AS rollup, toStartOfFiveMinutes(timestamp) AS bucket, nowInBlock64(6, 'UTC') AS inserted_at
FROM market_ticks
