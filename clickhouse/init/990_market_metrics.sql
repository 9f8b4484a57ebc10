-- Values computed from market data. This must be the last file: the existence of this table means that the schema is complete.
CREATE TABLE IF NOT EXISTS market_metrics
(
    symbol LowCardinality(String) CODEC(ZSTD(1)),
    timestamp DateTime64(6, 'UTC') CODEC(Delta, T64, ZSTD(1)),
    metric LowCardinality(String) CODEC(ZSTD(1)),
    -- ZSTD compresses these values better than Gorilla.
    value Float64 CODEC(ZSTD(1)),
    ingestion_time DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, T64('bit'), ZSTD(1)),
    source LowCardinality(String) CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(timestamp)
-- Queries read one metric of one symbol over time.
ORDER BY (symbol, metric, timestamp)
SETTINGS non_replicated_deduplication_window = 1000
