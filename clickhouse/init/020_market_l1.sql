-- Quotes: best bid and ask.
CREATE TABLE IF NOT EXISTS market_l1
(
    symbol LowCardinality(String) CODEC(ZSTD(1)),
    timestamp DateTime64(6, 'UTC') CODEC(Delta, T64, ZSTD(1)),
    bid Decimal(18, 8) CODEC(GCD, Delta, ZSTD(1)),
    ask Decimal(18, 8) CODEC(GCD, Delta, ZSTD(1)),
    bid_size UInt32 CODEC(GCD, T64, ZSTD(1)),
    ask_size UInt32 CODEC(GCD, T64, ZSTD(1)),
    ingestion_time DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1)),
    source LowCardinality(String) DEFAULT '' CODEC(ZSTD(1)),
    tick_id UInt64 DEFAULT 0 CODEC(Delta, ZSTD(1)),
    sequence UInt64 DEFAULT 0 CODEC(DoubleDelta, ZSTD(1)),
    bid_market_center UInt16 DEFAULT 0 CODEC(ZSTD(1)),
    ask_market_center UInt16 DEFAULT 0 CODEC(ZSTD(1)),
    spread Decimal(18, 8) ALIAS ask - bid,
    mid Decimal(18, 8) ALIAS (bid + ask) / 2
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(timestamp)
PRIMARY KEY (symbol, timestamp)
ORDER BY (symbol, timestamp, tick_id, sequence, bid, ask, bid_size, ask_size)
SETTINGS non_replicated_deduplication_window = 1000
