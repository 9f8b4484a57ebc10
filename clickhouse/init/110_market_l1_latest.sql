-- The latest quote of each symbol. Read it with FINAL.
CREATE TABLE IF NOT EXISTS market_l1_latest
(
    symbol LowCardinality(String),
    timestamp DateTime64(6, 'UTC'),
    bid Decimal(18, 8),
    ask Decimal(18, 8),
    bid_size Float64,
    ask_size Float64,
    bid_market_center UInt16,
    ask_market_center UInt16,
    bid_exchange LowCardinality(String),
    ask_exchange LowCardinality(String),
    sequence UInt64,
    -- As in market_l1: microseconds in the upper, sequence in the lower 64 bits.
    position UInt128,
    spread Nullable(Decimal(18, 8)) ALIAS if((bid_size > 0 AND ask_size > 0) OR (bid_size = 0 AND ask_size = 0 AND bid > 0 AND ask > 0), ask - bid, NULL),
    mid Nullable(Decimal(38, 9)) ALIAS if((bid_size > 0 AND ask_size > 0) OR (bid_size = 0 AND ask_size = 0 AND bid > 0 AND ask > 0), (toDecimal128(bid, 9) + ask) / 2, NULL)
)
-- Keeps the row with the highest timestamp, and of equal timestamps the highest sequence: a late or repeated quote changes nothing.
ENGINE = ReplacingMergeTree(position)
ORDER BY symbol
