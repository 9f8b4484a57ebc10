-- The buckets to roll up next: stale ones that were left alone for 10 s, the oldest first. The 10 s are there for rows whose part becomes
-- visible after they were marked.
CREATE VIEW IF NOT EXISTS market_rollup_due AS
SELECT bucket
FROM market_rollup_state FINAL
WHERE rollup = {rollup:String}
    AND computed_at <= inserted_at + INTERVAL 10 SECOND
    AND inserted_at + INTERVAL 10 SECOND < now64(6, 'UTC')
ORDER BY bucket
LIMIT {buckets:UInt32}
