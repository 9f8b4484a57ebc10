-- The last event of every book entry in each minute. The book at a moment is computed from the last event per entry in the minutes before
-- it and in the raw events since, instead of by a full replay. Read it through market_book.
CREATE TABLE IF NOT EXISTS market_book_1m
(
    symbol LowCardinality(String) CODEC(ZSTD(1)),
    minute DateTime('UTC') CODEC(Delta, ZSTD(1)),
    side Enum8('ask' = 0, 'bid' = 1) CODEC(ZSTD(1)),
    entry_order UInt64 CODEC(Delta, ZSTD(1)),
    entry_maker LowCardinality(String) CODEC(ZSTD(1)),
    entry_price Decimal(18, 8) CODEC(GCD, Delta, ZSTD(1)),
    -- As in market_l2: microseconds in the upper, sequence in the lower 64 bits.
    position UInt128 CODEC(ZSTD(1)),
    operation Enum8('insert' = 0, 'update' = 1, 'delete' = 2, 'clear' = 3, 'delete_level' = 4) CODEC(ZSTD(1)),
    price Decimal(18, 8) CODEC(GCD, Delta, ZSTD(1)),
    size Float64 CODEC(ZSTD(1)),
    order_count UInt32 CODEC(ZSTD(1)),
    computed_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1))
)
-- Rolling up a minute again writes its entries again, with the same or a later event.
ENGINE = ReplacingMergeTree(computed_at)
PARTITION BY toYYYYMM(minute)
PRIMARY KEY (symbol, minute)
ORDER BY (symbol, minute, side, entry_order, entry_maker, entry_price)
