CREATE MATERIALIZED VIEW IF NOT EXISTS market_bars_done TO market_rollup_state AS
SELECT 'bars' AS rollup, toStartOfFiveMinutes(minute) AS bucket, max(computed_at) AS computed_at
FROM market_bars_1m
GROUP BY bucket
