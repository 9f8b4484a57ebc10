-- The state of each five-minute bucket of the roll-ups. A bucket is stale if rows arrived after its roll-up began. The views read stale
-- buckets from the raw table, so their results are always exact. A mark is written right after each block of rows
-- (min_insert_block_size_rows_for_materialized_views). After a crash between the two, the repeated INSERT writes it.
CREATE TABLE IF NOT EXISTS market_rollup_state
(
    rollup Enum8('bars' = 1, 'book' = 2),
    bucket DateTime('UTC'),
    inserted_at SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    computed_at SimpleAggregateFunction(max, DateTime64(6, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (rollup, bucket)
