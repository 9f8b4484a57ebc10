-- Trades: one row per trade or correction, in IQFeed's terms.
--
-- For every file here: no statement names a database, each runs in the session's. A column that a writer leaves out
-- gets its type's default (0, '', the first word of an Enum): spelling these out slows inserts, DEFAULT '' by a third.
-- Codecs prepare a column for the compression of its part (Default), which is LZ4, later what the table's TTL says. They are measured per
-- column on real data, bytes per value when cold in brackets; docs/storage.md has the method.
CREATE TABLE IF NOT EXISTS market_ticks
(
    symbol LowCardinality(String),
    -- Exchange time, UTC. [1.86; Delta alone 2.38]
    timestamp DateTime64(6, 'UTC') CODEC(GCD, Delta, T64, Default),
    -- Exact: a third of equity trades are sub-penny. [0.21; as Float64 with Gorilla 0.43]
    price Decimal(18, 8) CODEC(GCD, DoubleDelta, Default),
    -- Whole or with a fraction, such as half a share. [0.64; as a dictionary 0.51, but JSON then takes a fifth longer to read]
    size Float64,
    -- Concatenated 2-digit hexadecimal codes: 25 different strings in 32,627 real ticks.
    conditions LowCardinality(String),
    -- Receive time, UTC, kept to the millisecond: below it is the receiver's jitter. [0.92; microseconds 1.69]
    ingestion_time DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, T64('bit'), Default),
    source LowCardinality(String),
    -- Unique per symbol and day, not monotonic; 0 = not sent. [0.01]
    tick_id UInt64 CODEC(DoubleDelta, Default),
    -- Place in the feed: a counter per symbol, or Kafka's offset. Orders what has the same timestamp; 0 = not sent.
    sequence UInt64 CODEC(Delta, T64('bit'), Default),
    -- By number, or by name (`NASDAQ`) where the feed sends names; 0 and '' = not sent.
    market_center UInt16,
    exchange LowCardinality(String),
    -- Best bid and ask at the moment of the trade; 0 = not sent.
    bid Decimal(18, 8) CODEC(GCD, Default),
    ask Decimal(18, 8) CODEC(GCD, Default),
    -- Volume of the day including this trade. [0.72; with T64 0.80]
    total_volume UInt64 CODEC(Delta, Default),
    -- C last qualified, E extended hours, O other.
    basis LowCardinality(String),
    -- A `delete` takes back the trade whose tick_id (and symbol, timestamp, price, size, conditions) it repeats; without a tick_id it
    -- cannot say which. An `insert` is a trade that the exchange adds later. All stay stored: market_trades shows what holds.
    correction Enum8('none' = 0, 'insert' = 1, 'delete' = 2),
    -- Computed when read: orders the trades of a symbol, for the first and the last of an interval. Tick ids are not monotonic.
    position UInt128 ALIAS bitOr(bitShiftLeft(toUInt128(toUnixTimestamp64Micro(timestamp)), 64), if(sequence = 0, tick_id, sequence)),
    -- Finds the few corrections without reading the column of all trades.
    INDEX correction_set correction TYPE set(3) GRANULARITY 4,
    -- Shows the built-in ingest at once that a block is not stored yet: all parts end before the block begins.
    INDEX received ingestion_time TYPE minmax GRANULARITY 1024
)
-- Equal rows by the sorting key become one, at the latest when parts merge; FINAL and the views see one at once.
ENGINE = ReplacingMergeTree
-- By month: a partition is what DROP PARTITION drops, and 2,000 symbols x 1 year stay 12 of them.
PARTITION BY toYYYYMM(timestamp)
-- Every query names a symbol and a time; only these two are worth memory.
PRIMARY KEY (symbol, timestamp)
-- What makes two rows the same trade: without a tick id its place in the feed, without that the receive time. Real exchanges
-- report equal trades in one millisecond (13 % of BTCUSDT's), and folding these into one would lose data. A trade and its equal
-- among the exchange's inserts are one; what takes it back is another row.
ORDER BY
(
    symbol, timestamp, tick_id, price, size, conditions, correction = 'delete',
    if(tick_id = 0, sequence, 0),
    if(tick_id = 0 AND sequence = 0, ingestion_time, toDateTime64(0, 3, 'UTC'))
)
-- Compressed well once it is cold: an INSERT, and a merge with any row younger than this, writes LZ4. What is older is compressed when it
-- merges, or by itself: a tenth smaller than with ZSTD(1), for 3 microseconds a row. 12 hours put the work between two trading sessions.
TTL toDateTime(timestamp) + INTERVAL 12 HOUR RECOMPRESS CODEC(ZSTD(15))
SETTINGS
    -- An INSERT whose insert_deduplication_token, or without one whose content, equals one of the last 1,000 is dropped.
    non_replicated_deduplication_window = 1000
