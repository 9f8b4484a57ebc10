-- Valid trades: each trade once, without cancelled trades and the corrections that cancel them.
CREATE VIEW IF NOT EXISTS market_trades AS
SELECT symbol, timestamp, price, size, conditions, ingestion_time, source, tick_id, sequence, market_center, exchange, bid, ask, total_volume, basis, correction
FROM market_ticks FINAL
WHERE correction != 'delete'
    AND (symbol, timestamp, tick_id, price, size, conditions) NOT IN
    (
        SELECT symbol, timestamp, tick_id, price, size, conditions FROM market_ticks WHERE correction = 'delete' AND tick_id != 0
    )
