-- Like market_bars_stale, for market_l2.
CREATE MATERIALIZED VIEW IF NOT EXISTS market_book_stale TO market_rollup_state AS
SELECT DISTINCT 'book' AS rollup, toStartOfFiveMinutes(timestamp) AS bucket, nowInBlock64(6, 'UTC') AS inserted_at
FROM market_l2
