-- Order book events. The largest table: 3.1 bytes a row.
CREATE TABLE IF NOT EXISTS market_l2
(
    symbol LowCardinality(String) CODEC(ZSTD(1)),
    timestamp DateTime64(6, 'UTC') CODEC(Delta, T64, ZSTD(1)),
    side Enum8('ask' = 0, 'bid' = 1) CODEC(ZSTD(1)),
    -- ZSTD(3) here: [0.41; ZSTD(1) 0.85]
    price Decimal(18, 8) CODEC(GCD, Delta, ZSTD(3)),
    -- [0.73; without GCD 1.02]
    size UInt32 CODEC(GCD, T64('bit'), ZSTD(1)),
    -- `clear` empties the symbol's book (IQFeed's S). IQFeed's 3, 6, 7 are inserts, 4, 8 updates, 5, 9 deletes.
    operation Enum8('insert' = 0, 'update' = 1, 'delete' = 2, 'clear' = 3) CODEC(ZSTD(1)),
    -- 0 = best.
    level UInt16 CODEC(ZSTD(1)),
    -- [0.11; as String with LZ4 0.40]
    market_maker LowCardinality(String) CODEC(ZSTD(1)),
    -- CME and ICE send order ids, Nasdaq sends market makers; 0 and '' = not sent.
    order_id UInt64 CODEC(Delta, ZSTD(1)),
    order_count UInt32 CODEC(ZSTD(1)),
    -- [0.04 for a counter; without T64 0.39: ZSTD(1) takes 8-byte words of a small constant badly]
    tick_id UInt64 CODEC(Delta, T64('bit'), ZSTD(1)),
    -- Place in the feed, as in market_ticks: orders the events of one microsecond. [0.04 for a counter, 0.87 for Kafka offsets;
    -- DoubleDelta 0.01 and 1.07]
    sequence UInt64 CODEC(Delta, T64('bit'), ZSTD(1)),
    -- Receive time, UTC, kept to the millisecond. [0.54; microseconds 1.75]
    ingestion_time DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, T64('bit'), ZSTD(1)),
    source LowCardinality(String) CODEC(ZSTD(1)),
    -- Computed when read, for replaying a book: what orders its events (argMax on one number is four times as fast as on a
    -- tuple), and which entry an event is about: its order; without one its market maker, who has one quote a side; without
    -- either its price. A clear is about none of them, and an order of its own, so that no later event of an entry hides it.
    position UInt128 ALIAS bitOr(bitShiftLeft(toUInt128(toUnixTimestamp64Micro(timestamp)), 64), sequence),
    entry_order UInt64 ALIAS if(operation = 'clear', 18446744073709551615, order_id),
    entry_maker LowCardinality(String) ALIAS if(entry_order = 0, market_maker, ''),
    entry_price Decimal(18, 8) ALIAS if(entry_order = 0 AND market_maker = '', price, toDecimal64(0, 8)),
    -- Overview per symbol and day (how many, when last) without reading the events.
    PROJECTION activity
    (
        SELECT symbol, toDate(timestamp), count(), sum(size), min(price), max(price), max(timestamp)
        GROUP BY symbol, toDate(timestamp)
    ),
    -- Tells the built-in ingest in no time that what it is about to store is not there yet: parts end before it begins.
    INDEX received ingestion_time TYPE minmax GRANULARITY 1024
)
-- Not Replacing: an event repeated unchanged leaves the book as it is, and two equal ones may both be real.
ENGINE = MergeTree
-- By day: this is the table that is dropped by day.
PARTITION BY toDate(timestamp)
ORDER BY (symbol, timestamp, sequence)
SETTINGS
    non_replicated_deduplication_window = 1000,
    -- With a retention, drop whole days instead of rewriting parts row by row.
    ttl_only_drop_parts = 1,
    -- DELETE FROM is refused on a table with a projection, unless it may make the projection anew.
    lightweight_mutation_projection_mode = 'rebuild'
