-- The last trades of a symbol that hold, the latest first. As market_trades, but read from the end of the table: FINAL would read all
-- of the symbol's trades. A row that takes a trade back stands before it in this order, so that it is the one that is left of both.
-- The table's order says nothing of trades of one microsecond; so all of the last microsecond are taken, and then ordered as came.
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
        -- Without buffers: they read ahead in every part, up to all trades of the symbol.
        SETTINGS read_in_order_use_buffering = 0
    )
    WHERE correction != 'delete'
    ORDER BY timestamp DESC
    LIMIT {trades:UInt32} WITH TIES
)
ORDER BY timestamp DESC, if(sequence = 0, tick_id, sequence) DESC
LIMIT {trades:UInt32}
