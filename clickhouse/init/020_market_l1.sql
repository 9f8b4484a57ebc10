-- Quotes: best bid and ask, with the centers that show them.
CREATE TABLE IF NOT EXISTS market_l1
(
    symbol LowCardinality(String),
    timestamp DateTime64(6, 'UTC') CODEC(GCD, Delta, T64, Default),
    -- Oil and spreads are quoted at and below 0 too. [0.06; with Delta 0.08]
    bid Decimal(18, 8) CODEC(GCD, Default),
    ask Decimal(18, 8) CODEC(GCD, Default),
    -- Whole or with a fraction, as in market_ticks. As dictionaries the table is as large, and JSON takes a third longer to read.
    bid_size Float64,
    ask_size Float64,
    -- Receive time, UTC, kept to the millisecond.
    ingestion_time DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, T64('bit'), Default),
    source LowCardinality(String),
    tick_id UInt64 CODEC(DoubleDelta, Default),
    -- Place in the feed, as in market_ticks. [0.31 for an exchange's update ids; DoubleDelta or Delta alone 0.38]
    sequence UInt64 CODEC(Delta, T64('bit'), Default),
    -- By number or by name, as in market_ticks.
    bid_market_center UInt16,
    ask_market_center UInt16,
    bid_exchange LowCardinality(String),
    ask_exchange LowCardinality(String),
    -- Computed when read. What orders the quotes of a symbol; and spread and mid, NULL while a side is missing: one without size, or, of a writer
    -- who sends no sizes at all, one without a price above 0. mid has a ninth decimal, so that it too is exact.
    position UInt128 ALIAS bitOr(bitShiftLeft(toUInt128(toUnixTimestamp64Micro(timestamp)), 64), sequence),
    spread Nullable(Decimal(18, 8)) ALIAS if((bid_size > 0 AND ask_size > 0) OR (bid_size = 0 AND ask_size = 0 AND bid > 0 AND ask > 0), ask - bid, NULL),
    mid Nullable(Decimal(38, 9)) ALIAS if((bid_size > 0 AND ask_size > 0) OR (bid_size = 0 AND ask_size = 0 AND bid > 0 AND ask > 0), (toDecimal128(bid, 9) + ask) / 2, NULL),
    -- Shows the built-in ingest at once that a block is not stored yet: all parts end before the block begins.
    INDEX received ingestion_time TYPE minmax GRANULARITY 1024
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(timestamp)
PRIMARY KEY (symbol, timestamp)
-- What makes two rows the same quote, as for trades. The place in the feed comes before the values: rows in the order in which
-- they came take 2 % less.
ORDER BY
(
    symbol, timestamp, tick_id,
    if(tick_id = 0, sequence, 0),
    if(tick_id = 0 AND sequence = 0, ingestion_time, toDateTime64(0, 3, 'UTC')),
    bid, ask, bid_size, ask_size
)
-- As for trades. ZSTD(15) would take 0.14 bytes less, for 1 microsecond a row more, and there are ten times as many quotes as trades.
TTL toDateTime(timestamp) + INTERVAL 12 HOUR RECOMPRESS CODEC(ZSTD(7))
SETTINGS non_replicated_deduplication_window = 1000
