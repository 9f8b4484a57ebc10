-- Inserts one row per symbol and inserted block: the quote with the highest timestamp, and of equal timestamps the highest sequence.
CREATE MATERIALIZED VIEW IF NOT EXISTS market_l1_latest_insert TO market_l1_latest AS
SELECT
    symbol,
    max(market_l1.timestamp) AS timestamp,
    argMax(market_l1.bid, market_l1.position) AS bid,
    argMax(market_l1.ask, market_l1.position) AS ask,
    argMax(market_l1.bid_size, market_l1.position) AS bid_size,
    argMax(market_l1.ask_size, market_l1.position) AS ask_size,
    argMax(market_l1.bid_market_center, market_l1.position) AS bid_market_center,
    argMax(market_l1.ask_market_center, market_l1.position) AS ask_market_center,
    argMax(market_l1.bid_exchange, market_l1.position) AS bid_exchange,
    argMax(market_l1.ask_exchange, market_l1.position) AS ask_exchange,
    argMax(market_l1.sequence, market_l1.position) AS sequence,
    max(market_l1.position) AS position
FROM market_l1
-- An optimization before the expensive aggregation: keeps only rows with the last timestamp of any symbol, which include the latest row
-- of every symbol. In the subquery too, market_l1 is the inserted block.
WHERE market_l1.timestamp IN (SELECT max(market_l1.timestamp) FROM market_l1 GROUP BY symbol)
GROUP BY symbol
