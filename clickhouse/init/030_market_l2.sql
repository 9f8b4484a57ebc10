-- Order book events. The largest table: 3.1 bytes a row.
CREATE TABLE IF NOT EXISTS market_l2
(
    symbol LowCardinality(String),
    timestamp DateTime64(6, 'UTC') CODEC(Delta, T64, Default),
    side Enum8('ask' = 0, 'bid' = 1),
    -- [0.40; without Delta 0.72]
    price Decimal(18, 8) CODEC(GCD, Delta, Default),
    -- Whole or with a fraction. A dictionary, since few different values come in no order. [0.71; as UInt32 with GCD and T64 0.73, as
    -- Float64 1.10]
    size LowCardinality(Float64),
    -- `clear` empties the symbol's book (IQFeed's S). IQFeed's 3, 6, 7 are inserts, 4, 8 updates, 5, 9 deletes. `delete_level` takes away
    -- what the last event of this side and level put there.
    operation Enum8('insert' = 0, 'update' = 1, 'delete' = 2, 'clear' = 3, 'delete_level' = 4),
    -- 0 = best.
    level UInt16,
    -- [0.12; as String 0.19]
    market_maker LowCardinality(String),
    -- CME and ICE send order ids, Nasdaq sends market makers; 0 and '' = not sent.
    order_id UInt64 CODEC(Delta, Default),
    order_count UInt32,
    -- [0.02 for a counter]
    tick_id UInt64 CODEC(Delta, T64('bit'), Default),
    -- Place in the feed, as in market_ticks: orders the events of one microsecond. [0.02 for a counter]
    sequence UInt64 CODEC(Delta, T64('bit'), Default),
    -- Receive time, UTC, kept to the millisecond. [0.54; microseconds 1.07]
    ingestion_time DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, T64('bit'), Default),
    source LowCardinality(String),
    -- Computed when read, for replaying a book: what orders its events (argMax on one number is four times as fast as on a
    -- tuple), and which entry an event is about: its order; without one its market maker, who has one quote a side; without
    -- either its price. A clear is about none of them, and an order of its own, so that no later event of an entry hides it; so is a
    -- delete_level, which market_book traces to its entry.
    position UInt128 ALIAS bitOr(bitShiftLeft(toUInt128(toUnixTimestamp64Micro(timestamp)), 64), sequence),
    entry_order UInt64 ALIAS multiIf(operation = 'clear', 18446744073709551615, operation = 'delete_level', 18446744073709551614, order_id),
    entry_maker LowCardinality(String) ALIAS if(entry_order = 0, market_maker, ''),
    entry_price Decimal(18, 8) ALIAS if(entry_order = 0 AND market_maker = '', price, toDecimal64(0, 8)),
    -- Overview per symbol and day (how many, when last) without reading the events.
    PROJECTION activity
    (
        SELECT symbol, toDate(timestamp), count(), sum(size), min(price), max(price), max(timestamp)
        GROUP BY symbol, toDate(timestamp)
    ),
    -- Finds the few deletes by level without reading the column of all events.
    INDEX operation_set operation TYPE set(5) GRANULARITY 4,
    -- Shows the built-in ingest at once that a block is not stored yet: all parts end before the block begins.
    INDEX received ingestion_time TYPE minmax GRANULARITY 1024
)
-- Not Replacing: an event repeated unchanged leaves the book as it is, and two equal ones may both be real.
ENGINE = MergeTree
-- By day: this is the table that is dropped by day.
PARTITION BY toDate(timestamp)
ORDER BY (symbol, timestamp, sequence)
-- As for trades. ZSTD(3) takes 0.1 bytes more than ZSTD(15), for a seventh of its time: these rows are many. With ZSTD(1) it would be 0.5.
TTL toDateTime(timestamp) + INTERVAL 12 HOUR RECOMPRESS CODEC(ZSTD(3))
SETTINGS
    non_replicated_deduplication_window = 1000,
    -- With a retention, drop whole days instead of rewriting parts row by row.
    ttl_only_drop_parts = 1,
    -- DELETE FROM is refused on a table with a projection, unless it may rebuild the projection.
    lightweight_mutation_projection_mode = 'rebuild'
