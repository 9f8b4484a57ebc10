-- The book of a symbol at a moment: one row per side and price, level 0 is the best. `since` is the start of the session: events before it
-- are ignored, as are events before a `clear`.
CREATE VIEW IF NOT EXISTS market_book AS
SELECT
    side,
    toUInt32(row_number() OVER (PARTITION BY side ORDER BY if(side = 'bid', -entry.1, entry.1)) - 1) AS level,
    entry.1 AS price,
    -- Summed as in market_bars.
    toFloat64(sum(toDecimal128(toString(entry.2), 8))) AS size,
    sum(greatest(entry.3, 1)) AS orders
FROM
(
    SELECT side, (argMax(price, position), argMax(size, position), argMax(order_count, position)) AS entry
    FROM
    (
        -- A delete_level removes the entry that was last inserted or updated at its level. Only symbols with such events pay for the scan
        -- of all their events.
        SELECT
            side,
            target.1 AS entry_order,
            target.2 AS entry_maker,
            target.3 AS entry_price,
            position,
            operation,
            toDecimal64(0, 8) AS price,
            toFloat64(0) AS size,
            0 AS order_count
        FROM
        (
            SELECT
                side,
                position,
                operation,
                argMaxIf((entry_order, entry_maker, entry_price), position, operation IN ('insert', 'update')) OVER earlier AS target,
                maxIf(position, operation IN ('insert', 'update')) OVER earlier AS placed
            FROM market_l2
            WHERE symbol = {symbol:String}
                AND timestamp >= {since:DateTime64(6, 'UTC')}
                AND timestamp <= {at:DateTime64(6, 'UTC')}
                AND
                (
                    SELECT count() > 0
                    FROM market_l2
                    WHERE symbol = {symbol:String}
                        AND timestamp >= {since:DateTime64(6, 'UTC')}
                        AND timestamp <= {at:DateTime64(6, 'UTC')}
                        AND operation = 'delete_level'
                )
            WINDOW earlier AS (PARTITION BY side, level ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
        )
        WHERE operation = 'delete_level' AND placed > 0
        UNION ALL
        -- Equal scalar subqueries are evaluated once, before the union reads, so both halves use the same buckets.
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
