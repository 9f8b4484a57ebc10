-- Which five minutes of which table are rolled up. A bucket is stale while rows came later than its roll-up began; the
-- views read stale buckets from the raw table, so what they answer is exact at any moment. A mark follows its rows within a block
-- (min_insert_block_size_rows_for_materialized_views), and comes again with an INSERT that is repeated after a crash between the two.
CREATE TABLE IF NOT EXISTS market_rollup_state
(
    rollup Enum8('bars' = 1, 'book' = 2),
    bucket DateTime('UTC'),
    inserted_at SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    computed_at SimpleAggregateFunction(max, DateTime64(6, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (rollup, bucket)
