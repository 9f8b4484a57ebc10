-- The book of a symbol at a moment, one row per price, level 0 = best. `since` is where its session began: what happened before
-- it is ignored, and so is what a `clear` emptied.
CREATE VIEW IF NOT EXISTS market_book AS
SELECT
    side,
    toUInt32(row_number() OVER (PARTITION BY side ORDER BY if(side = 'bid', -entry.1, entry.1)) - 1) AS level,
    entry.1 AS price,
    sum(entry.2) AS size,
    sum(greatest(entry.3, 1)) AS orders
FROM
(
    SELECT side, (argMax(price, position), argMax(size, position), argMax(order_count, position)) AS entry
    FROM
    (
        -- Equal scalars are evaluated once, before either half reads: both see the same buckets.
        WITH (SELECT groupArray(bucket) FROM market_rollup_state FINAL WHERE rollup = 'book' AND computed_at <= inserted_at + INTERVAL 10 SECOND) AS stale
        SELECT side, entry_order, entry_maker, entry_price, position, operation, price, size, order_count
        FROM market_book_1m
        WHERE symbol = {symbol:String}
            AND minute >= toStartOfMinute({since:DateTime64(6, 'UTC')})
            AND minute < toStartOfMinute({at:DateTime64(6, 'UTC')})
            AND position >= bitShiftLeft(toUInt128(toUnixTimestamp64Micro({since:DateTime64(6, 'UTC')})), 64)
            AND toStartOfFiveMinutes(minute) NOT IN arraySort(stale)
        UNION ALL
        WITH (SELECT groupArray(bucket) FROM market_rollup_state FINAL WHERE rollup = 'book' AND computed_at <= inserted_at + INTERVAL 10 SECOND) AS stale
        SELECT side, entry_order, entry_maker, entry_price, position, operation, price, size, order_count
        FROM market_l2
        WHERE symbol = {symbol:String}
            AND timestamp >= {since:DateTime64(6, 'UTC')}
            AND timestamp <= {at:DateTime64(6, 'UTC')}
            AND (timestamp >= toStartOfMinute({at:DateTime64(6, 'UTC')}) OR toStartOfFiveMinutes(timestamp) IN arraySort(stale))
    )
    GROUP BY side, entry_order, entry_maker, entry_price
    QUALIFY argMax(operation, position) IN ('insert', 'update')
        AND entry.2 > 0
        AND max(position) > max(maxIf(position, operation = 'clear')) OVER ()
)
GROUP BY side, price
