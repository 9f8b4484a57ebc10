-- Order book events. The largest table, at 3.1 bytes per row.
CREATE TABLE IF NOT EXISTS market_l2
(
    symbol LowCardinality(String),
    timestamp DateTime64(6, 'UTC') CODEC(Delta, T64, Default),
    side Enum8('ask' = 0, 'bid' = 1),
    -- [0.40; without Delta 0.72]
    price Decimal(18, 8) CODEC(GCD, Delta, Default),
    -- May be fractional. LowCardinality, because there are few distinct values in no order. [0.71; as UInt32 with GCD and T64 0.73,
    -- as Float64 1.10]
    size LowCardinality(Float64),
    -- `clear` empties the symbol's book (IQFeed's S). IQFeed's 3, 6, 7 are inserts, 4, 8 updates, 5, 9 deletes. `delete_level` removes
    -- the entry that the last event for this side and level inserted or updated.
    operation Enum8('insert' = 0, 'update' = 1, 'delete' = 2, 'clear' = 3, 'delete_level' = 4),
    -- 0 is the best level.
    level UInt16,
    -- [0.12; as String 0.19]
    market_maker LowCardinality(String),
    -- CME and ICE send order ids, Nasdaq sends market makers; 0 and '' = not sent.
    order_id UInt64 CODEC(Delta, Default),
    order_count UInt32,
    -- [0.02 for a counter]
    tick_id UInt64 CODEC(Delta, T64('bit'), Default),
    -- Position in the feed, as in market_ticks: orders events with equal timestamps. [0.02 for a counter]
    sequence UInt64 CODEC(Delta, T64('bit'), Default),
    -- Receive time, UTC, in milliseconds. [0.54; microseconds 1.07]
    ingestion_time DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, T64('bit'), Default),
    source LowCardinality(String),
    -- Computed on read, to rebuild a book. position orders its events in one number, because argMax is four times as fast on a number
    -- as on a tuple. entry_* identify the entry that an event changes: its order id; else its market maker, who has one quote per
    -- side; else its price. A clear and a delete_level have reserved order ids, so that later events of an entry do not replace them;
    -- market_book finds the entry of a delete_level.
    position UInt128 ALIAS bitOr(bitShiftLeft(toUInt128(toUnixTimestamp64Micro(timestamp)), 64), sequence),
    entry_order UInt64 ALIAS multiIf(operation = 'clear', 18446744073709551615, operation = 'delete_level', 18446744073709551614, order_id),
    entry_maker LowCardinality(String) ALIAS if(entry_order = 0, market_maker, ''),
    entry_price Decimal(18, 8) ALIAS if(entry_order = 0 AND market_maker = '', price, toDecimal64(0, 8)),
    -- Overview per symbol and day (count, last event) without reading the events.
    PROJECTION activity
    (
        SELECT symbol, toDate(timestamp), count(), sum(size), min(price), max(price), max(timestamp)
        GROUP BY symbol, toDate(timestamp)
    ),
    -- Finds the few delete_level events without reading the whole column.
    INDEX operation_set operation TYPE set(5) GRANULARITY 4,
    -- Lets the built-in ingest skip its duplicate check quickly: for a new block, all parts end before the block begins.
    INDEX received ingestion_time TYPE minmax GRANULARITY 1024
)
-- Not ReplacingMergeTree: a repeated event does not change the book, and two equal events may both be real.
ENGINE = MergeTree
-- By day, because old data of this table is dropped by day.
PARTITION BY toDate(timestamp)
ORDER BY (symbol, timestamp, sequence)
-- As for trades. For this many rows, ZSTD(3) is used: 0.1 bytes per row more than ZSTD(15) in a seventh of the time. ZSTD(1) would
-- take 0.5 bytes more.
TTL toDateTime(timestamp) + INTERVAL 12 HOUR RECOMPRESS CODEC(ZSTD(3))
SETTINGS
    non_replicated_deduplication_window = 1000,
    -- A retention drops whole days instead of rewriting parts.
    ttl_only_drop_parts = 1,
    -- Without this, DELETE FROM fails on a table with a projection.
    lightweight_mutation_projection_mode = 'rebuild'
