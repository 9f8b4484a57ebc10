-- The buckets to roll up next: stale buckets without new rows for 10 s, oldest first. The delay covers rows whose part becomes visible
-- after their bucket was marked.
CREATE VIEW IF NOT EXISTS market_rollup_due AS
SELECT bucket
FROM market_rollup_state FINAL
WHERE rollup = {rollup:String}
    AND computed_at <= inserted_at + INTERVAL 10 SECOND
    AND inserted_at + INTERVAL 10 SECOND < now64(6, 'UTC')
ORDER BY bucket
LIMIT {buckets:UInt32}
