-- The last valid trades of a symbol, latest first. Like market_trades, but read from the end of the table, because FINAL would read all
-- trades of the symbol. A `delete` sorts before the trade that it cancels, so LIMIT 1 BY keeps the `delete` of the two, and the filter
-- then removes it. The sorting key does not order trades with equal timestamps by arrival, so WITH TIES takes all of the last timestamp,
-- and the outer query orders them by position in the feed.
CREATE VIEW IF NOT EXISTS market_last_trades AS
SELECT timestamp, price, size, conditions, tick_id, sequence, market_center, exchange, bid, ask, total_volume, basis, correction
FROM
(
    SELECT *
    FROM
    (
        SELECT *
        FROM market_ticks
        WHERE symbol = {symbol:String}
        ORDER BY timestamp DESC, tick_id DESC, price DESC, size DESC, conditions DESC, correction DESC
        LIMIT 1 BY
            timestamp, tick_id, price, size, conditions, tick_id = 0 AND correction = 'delete',
            if(tick_id = 0, sequence, 0), if(tick_id = 0 AND sequence = 0, ingestion_time, toDateTime64(0, 3, 'UTC'))
        -- Buffering would read ahead in every part, up to all trades of the symbol.
        SETTINGS read_in_order_use_buffering = 0
    )
    WHERE correction != 'delete'
    ORDER BY timestamp DESC
    LIMIT {trades:UInt32} WITH TIES
)
ORDER BY timestamp DESC, if(sequence = 0, tick_id, sequence) DESC
LIMIT {trades:UInt32}
