CREATE MATERIALIZED VIEW IF NOT EXISTS market_book_done TO market_rollup_state AS
SELECT 'book' AS rollup, toStartOfFiveMinutes(minute) AS bucket, max(computed_at) AS computed_at
FROM market_book_1m
GROUP BY bucket
