-- One row per symbol and inserted block: its latest quote, of equal timestamps the one with the highest sequence.
CREATE MATERIALIZED VIEW IF NOT EXISTS market_l1_latest_insert TO market_l1_latest AS
SELECT
    symbol,
    max(market_l1.timestamp) AS timestamp,
    argMax(market_l1.bid, position) AS bid,
    argMax(market_l1.ask, position) AS ask,
    argMax(market_l1.bid_size, position) AS bid_size,
    argMax(market_l1.ask_size, position) AS ask_size,
    argMax(market_l1.bid_market_center, position) AS bid_market_center,
    argMax(market_l1.ask_market_center, position) AS ask_market_center,
    argMax(market_l1.sequence, position) AS sequence
FROM market_l1
GROUP BY symbol
