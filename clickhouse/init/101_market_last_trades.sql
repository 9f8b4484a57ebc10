-- The last trades of a symbol that hold, the latest first. As market_trades, but read from the end of the table: FINAL would read all
-- of the symbol's trades.
CREATE VIEW IF NOT EXISTS market_last_trades AS
SELECT timestamp, price, size, conditions, tick_id, sequence, market_center, bid, ask, total_volume, basis, correction
FROM market_ticks
WHERE symbol = {symbol:String}
    AND correction != 'delete'
    AND (timestamp, tick_id, price, size, conditions) NOT IN
    (
        SELECT timestamp, tick_id, price, size, conditions
        FROM market_ticks
        WHERE symbol = {symbol:String} AND correction = 'delete'
    )
ORDER BY timestamp DESC, tick_id DESC, price DESC, size DESC, conditions DESC, correction DESC
LIMIT 1 BY
    timestamp, tick_id, price, size, conditions, correction,
    if(tick_id = 0, sequence, 0), if(tick_id = 0 AND sequence = 0, ingestion_time, toDateTime64(0, 3, 'UTC'))
LIMIT {trades:UInt32}
