-- Trades. One row per trade or correction, as IQFeed sends them.
--
-- No file here names a database: each statement runs in the session's. Containers: the server's default_database is
-- CLICKHOUSE_DB (the image's entrypoint passes no database to these files). Embedded stack and `npm run schema`: the database of
-- the connection. All three create it first.
CREATE TABLE IF NOT EXISTS market_ticks
(
    symbol LowCardinality(String) CODEC(ZSTD(1)),
    -- Exchange time, UTC, microseconds: what IQFeed carries.
    timestamp DateTime64(6, 'UTC') CODEC(Delta, T64, ZSTD(1)),
    -- Exact to 8 decimals: a third of equity trades are sub-penny.
    price Decimal(18, 8) CODEC(GCD, Delta, ZSTD(1)),
    size UInt32 CODEC(GCD, T64, ZSTD(1)),
    -- Concatenated 2-digit hexadecimal trade condition codes; 25 different strings in 32,627 real ticks.
    conditions LowCardinality(String) DEFAULT '' CODEC(ZSTD(1)),
    -- Receive time, UTC. Kept to the millisecond: the digits below it are noise and would cost a byte a row.
    ingestion_time DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1)),
    source LowCardinality(String) DEFAULT '' CODEC(ZSTD(1)),
    -- Unique per symbol and day, not monotonic; 0 = not sent.
    tick_id UInt64 DEFAULT 0 CODEC(Delta, ZSTD(1)),
    sequence UInt64 DEFAULT 0 CODEC(DoubleDelta, ZSTD(1)),
    market_center UInt16 DEFAULT 0 CODEC(ZSTD(1)),
    -- Best bid and ask when the trade happened; 0 = not sent.
    bid Decimal(18, 8) DEFAULT 0 CODEC(GCD, Delta, ZSTD(1)),
    ask Decimal(18, 8) DEFAULT 0 CODEC(GCD, Delta, ZSTD(1)),
    total_volume UInt64 DEFAULT 0 CODEC(Delta, ZSTD(1)),
    -- IQFeed's basis for last: C qualified, E extended hours, O other.
    basis LowCardinality(String) DEFAULT '' CODEC(ZSTD(1)),
    -- `delete` takes back the trade with the same symbol, timestamp and tick_id; `insert` is a trade added later.
    correction Enum8('none' = 0, 'insert' = 1, 'delete' = 2) DEFAULT 'none' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(timestamp)
PRIMARY KEY (symbol, timestamp)
ORDER BY (symbol, timestamp, tick_id, price, size, conditions, correction)
SETTINGS non_replicated_deduplication_window = 1000
