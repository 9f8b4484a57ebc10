-- Values computed from market data. The last file: that this table exists means that the schema is complete.
CREATE TABLE IF NOT EXISTS market_metrics
(
    symbol LowCardinality(String) CODEC(ZSTD(1)),
    timestamp DateTime64(6, 'UTC') CODEC(Delta, T64, ZSTD(1)),
    metric LowCardinality(String) CODEC(ZSTD(1)),
    -- ZSTD beats Gorilla on these.
    value Float64 CODEC(ZSTD(1)),
    ingestion_time DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, T64('bit'), ZSTD(1)),
    source LowCardinality(String) CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(timestamp)
-- One metric of one symbol over time is what gets read.
ORDER BY (symbol, metric, timestamp)
SETTINGS non_replicated_deduplication_window = 1000
