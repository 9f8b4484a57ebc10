-- Messages of all topics that could not be parsed, stored unchanged, so that a bad message neither stops its topic nor gets lost.
--
-- Conventions of all files in this folder: `./scripts/ingest.mts on` runs the statements in the market database; `off` drops the objects
-- whose names begin with ingest_. Names in dollar braces are settings of .env; {l2_kafka} is a server macro, see
-- clickhouse/config.d/ingest.xml. docs/ingest.md explains the pipeline and how it detects messages that Kafka delivers repeatedly.
CREATE TABLE IF NOT EXISTS market_rejects
(
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64 CODEC(Delta, ZSTD(1)),
    -- When the producer sent it, UTC.
    timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    key String CODEC(ZSTD(1)),
    -- The raw bytes of the message.
    message String CODEC(ZSTD(1)),
    -- The invalid fields, or why the whole message is invalid. Few distinct texts, suitable for GROUP BY.
    error String CODEC(ZSTD(1)),
    -- When it was stored, UTC. The producer's clock may be wrong.
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(timestamp)
-- The identity of a message. It includes the time, because offsets restart when a topic is recreated.
ORDER BY (topic, partition, offset, timestamp);

-- For tables created before stored_at was added.
ALTER TABLE market_rejects ADD COLUMN IF NOT EXISTS stored_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1));
