-- Messages that could not be read, of every topic, as they came. The topic goes on; nothing vanishes.
--
-- For every file here: `./scripts/ingest.mts on` runs the statements in the market database, `off` drops what begins with
-- ingest_. Names in dollar braces are settings of .env; {l2_kafka} is a macro of the server, see clickhouse/config.d/ingest.xml.
-- docs/ingest.md explains the path, and how it recognizes a message that Kafka delivers again.
CREATE TABLE IF NOT EXISTS market_rejects
(
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64 CODEC(Delta, ZSTD(1)),
    -- When the producer sent it, UTC.
    timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    key String CODEC(ZSTD(1)),
    -- The bytes of the message, whatever they are.
    message String CODEC(ZSTD(1)),
    -- The fields that could not be used, or why nothing could: few different texts, to group by.
    error String CODEC(ZSTD(1)),
    -- When it came here, UTC: the producer's clock may be anywhere.
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(timestamp)
-- The identity of a message: offsets begin again when a topic is recreated, hence the time.
ORDER BY (topic, partition, offset, timestamp);

-- For a table of before there was one.
ALTER TABLE market_rejects ADD COLUMN IF NOT EXISTS stored_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1));
