-- Trades: one row per trade or correction, in IQFeed's terms.
--
-- Conventions of all files in this folder:
-- - Statements do not name a database; they run in the session's database.
-- - Columns except ingestion_time have no explicit defaults: a column that an INSERT omits gets its type's default (0, '', the
--   first Enum value). Explicit defaults slow inserts down, DEFAULT '' by a third.
-- - Codecs transform a column before general compression (Default), which is LZ4 for new parts and the TTL's codec later. They
--   were chosen by measurements on real data. Brackets give bytes per value after recompression; docs/storage.md has the method.
CREATE TABLE IF NOT EXISTS market_ticks
(
    symbol LowCardinality(String),
    -- Exchange time, UTC. [1.86; Delta alone 2.38]
    timestamp DateTime64(6, 'UTC') CODEC(GCD, Delta, T64, Default),
    -- Exact decimals: a third of equity trades have sub-penny prices. [0.21; as Float64 with Gorilla 0.43]
    price Decimal(18, 8) CODEC(GCD, DoubleDelta, Default),
    -- May be fractional, such as half a share. [0.64; as LowCardinality 0.51, but JSON inserts then take a fifth longer]
    size Float64,
    -- Concatenated 2-digit hexadecimal codes: 25 different strings in 32,627 real ticks.
    conditions LowCardinality(String),
    -- Receive time, UTC, in milliseconds: smaller differences are jitter of the receiver. [0.92; microseconds 1.69]
    ingestion_time DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, T64('bit'), Default),
    source LowCardinality(String),
    -- Unique per symbol and day, but not monotonic; 0 = not sent. [0.01]
    tick_id UInt64 CODEC(DoubleDelta, Default),
    -- Position in the feed: a counter per symbol, or the Kafka offset. Orders rows with equal timestamps; 0 = not sent.
    sequence UInt64 CODEC(Delta, T64('bit'), Default),
    -- The exchange by number, or by name (`NASDAQ`) if the feed sends names; 0 and '' = not sent.
    market_center UInt16,
    exchange LowCardinality(String),
    -- Best bid and ask at the time of the trade; 0 = not sent.
    bid Decimal(18, 8) CODEC(GCD, Default),
    ask Decimal(18, 8) CODEC(GCD, Default),
    -- Cumulative volume of the day, including this trade. [0.72; with T64 0.80]
    total_volume UInt64 CODEC(Delta, Default),
    -- C = last qualified, E = extended hours, O = other.
    basis LowCardinality(String),
    -- `delete` cancels the trade with the same tick_id, symbol, timestamp, price, size and conditions; without a tick_id it cancels
    -- nothing. `insert` is a trade that the exchange adds later. All rows stay stored; market_trades shows only valid trades.
    correction Enum8('none' = 0, 'insert' = 1, 'delete' = 2),
    -- Computed on read. Orders the trades of a symbol, for the first and last trade of an interval.
    position UInt128 ALIAS bitOr(bitShiftLeft(toUInt128(toUnixTimestamp64Micro(timestamp)), 64), if(sequence = 0, tick_id, sequence)),
    -- Finds the few corrections without reading the whole column.
    INDEX correction_set correction TYPE set(3) GRANULARITY 4,
    -- Lets the built-in ingest skip its duplicate check quickly: for a new block, all parts end before the block begins.
    INDEX received ingestion_time TYPE minmax GRANULARITY 1024
)
-- Rows with an equal sorting key are collapsed into one when parts merge. FINAL and the views collapse them on read.
ENGINE = ReplacingMergeTree
-- By month: DROP PARTITION then drops a month, and a year of 2,000 symbols has only 12 partitions.
PARTITION BY toYYYYMM(timestamp)
-- Queries filter by symbol and time, so only these two columns are kept in the primary index in memory.
PRIMARY KEY (symbol, timestamp)
-- The identity of a trade. Trades without a tick id are told apart by their position in the feed, or else by receive time: real
-- exchanges report identical trades in the same millisecond (13 % of BTCUSDT's), and collapsing them would lose data. A trade and
-- an equal `insert` correction are the same row; a `delete` is a separate row.
ORDER BY
(
    symbol, timestamp, tick_id, price, size, conditions, correction = 'delete',
    if(tick_id = 0, sequence, 0),
    if(tick_id = 0 AND sequence = 0, ingestion_time, toDateTime64(0, 3, 'UTC'))
)
-- Recompresses cold data. Inserts, and merges with any row younger than this, write LZ4. Older parts are recompressed by a merge or
-- in the background: they are a tenth smaller than with ZSTD(1), at a cost of 3 microseconds per row. 12 hours put this work
-- between two trading sessions.
TTL toDateTime(timestamp) + INTERVAL 12 HOUR RECOMPRESS CODEC(ZSTD(15))
SETTINGS
    -- Drops an INSERT block that repeats one of the last 1,000, by insert_deduplication_token or else by content.
    non_replicated_deduplication_window = 1000
