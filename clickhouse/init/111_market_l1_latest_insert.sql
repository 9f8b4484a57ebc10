-- One row per symbol and inserted block: its latest quote, of equal timestamps the one with the highest sequence.
CREATE MATERIALIZED VIEW IF NOT EXISTS market_l1_latest_insert TO market_l1_latest AS
SELECT
    symbol,
    last.1 AS timestamp,
    last.2 AS bid,
    last.3 AS ask,
    last.4 AS bid_size,
    last.5 AS ask_size,
    last.6 AS bid_market_center,
    last.7 AS ask_market_center,
    last.8 AS sequence
FROM
(
    SELECT
        symbol,
        argMax((timestamp, bid, ask, bid_size, ask_size, bid_market_center, ask_market_center, sequence), (timestamp, sequence)) AS last
    FROM market_l1
    GROUP BY symbol
)
