-- Order book events.
CREATE TABLE IF NOT EXISTS market_l2
(
    symbol LowCardinality(String) CODEC(ZSTD(1)),
    timestamp DateTime64(6, 'UTC') CODEC(Delta, T64, ZSTD(1)),
    side Enum8('ask' = 0, 'bid' = 1) CODEC(ZSTD(1)),
    price Decimal(18, 8) CODEC(GCD, Delta, ZSTD(3)),
    size UInt32 CODEC(GCD, T64, ZSTD(1)),
    operation Enum8('insert' = 0, 'update' = 1, 'delete' = 2, 'clear' = 3) CODEC(ZSTD(1)),
    level UInt16 DEFAULT 0 CODEC(T64, ZSTD(1)),
    market_maker LowCardinality(String) DEFAULT '' CODEC(ZSTD(1)),
    order_id UInt64 DEFAULT 0 CODEC(Delta, ZSTD(1)),
    order_count UInt32 DEFAULT 0 CODEC(T64, ZSTD(1)),
    tick_id UInt64 DEFAULT 0 CODEC(Delta, ZSTD(1)),
    sequence UInt64 DEFAULT 0 CODEC(DoubleDelta, ZSTD(1)),
    ingestion_time DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1)),
    source LowCardinality(String) DEFAULT '' CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(timestamp)
ORDER BY (symbol, timestamp, sequence)
SETTINGS non_replicated_deduplication_window = 1000
