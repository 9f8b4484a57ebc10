-- Quotes: best bid and ask, with the market centers that show them.
CREATE TABLE IF NOT EXISTS market_l1
(
    symbol LowCardinality(String),
    timestamp DateTime64(6, 'UTC') CODEC(GCD, Delta, T64, Default),
    -- May be 0 or negative: oil and spreads are quoted there too. [0.06; with Delta 0.08]
    bid Decimal(18, 8) CODEC(GCD, Default),
    ask Decimal(18, 8) CODEC(GCD, Default),
    -- May be fractional, as in market_ticks. LowCardinality would not save space, and JSON inserts would take a third longer.
    bid_size Float64,
    ask_size Float64,
    -- Receive time, UTC, in milliseconds.
    ingestion_time DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, T64('bit'), Default),
    source LowCardinality(String),
    tick_id UInt64 CODEC(DoubleDelta, Default),
    -- Position in the feed, as in market_ticks. [0.31 for an exchange's update ids; DoubleDelta or Delta alone 0.38]
    sequence UInt64 CODEC(Delta, T64('bit'), Default),
    -- The exchange by number or by name, as in market_ticks.
    bid_market_center UInt16,
    ask_market_center UInt16,
    bid_exchange LowCardinality(String),
    ask_exchange LowCardinality(String),
    -- Computed on read. position orders the quotes of a symbol. spread and mid are NULL if a side is missing: its size is 0, or, when
    -- neither side has a size, its price is not above 0. mid has nine decimals, so that it is exact.
    position UInt128 ALIAS bitOr(bitShiftLeft(toUInt128(toUnixTimestamp64Micro(timestamp)), 64), sequence),
    spread Nullable(Decimal(18, 8)) ALIAS if((bid_size > 0 AND ask_size > 0) OR (bid_size = 0 AND ask_size = 0 AND bid > 0 AND ask > 0), ask - bid, NULL),
    mid Nullable(Decimal(38, 9)) ALIAS if((bid_size > 0 AND ask_size > 0) OR (bid_size = 0 AND ask_size = 0 AND bid > 0 AND ask > 0), (toDecimal128(bid, 9) + ask) / 2, NULL),
    -- Lets the built-in ingest skip its duplicate check quickly: for a new block, all parts end before the block begins.
    INDEX received ingestion_time TYPE minmax GRANULARITY 1024
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(timestamp)
PRIMARY KEY (symbol, timestamp)
-- The identity of a quote, as for trades. The position in the feed comes before the values, because rows stored in feed order take
-- 2 % less space.
ORDER BY
(
    symbol, timestamp, tick_id,
    if(tick_id = 0, sequence, 0),
    if(tick_id = 0 AND sequence = 0, ingestion_time, toDateTime64(0, 3, 'UTC')),
    bid, ask, bid_size, ask_size
)
-- As for trades. ZSTD(15) would save 0.14 bytes per row but cost 1 microsecond more, and there are ten times as many quotes as trades.
TTL toDateTime(timestamp) + INTERVAL 12 HOUR RECOMPRESS CODEC(ZSTD(7))
SETTINGS non_replicated_deduplication_window = 1000
