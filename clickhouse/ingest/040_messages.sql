-- Messages of trading.signals and market.features, stored unchanged, because their producers define the content.
CREATE TABLE IF NOT EXISTS market_messages
(
    topic LowCardinality(String),
    key LowCardinality(String),
    -- When the producer sent it, UTC.
    timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    partition UInt32,
    offset UInt64 CODEC(Delta, ZSTD(1)),
    message String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (topic, key, timestamp, partition, offset);

CREATE TABLE IF NOT EXISTS ingest_messages_queue (message String)
ENGINE = Kafka
SETTINGS
    kafka_broker_list = '{l2_kafka}',
    kafka_topic_list = 'trading.signals,market.features',
    kafka_group_name = 'l2_ingest.messages',
    kafka_format = 'RawBLOB',
    kafka_flush_interval_ms = ${INGEST_FLUSH_MS},
    kafka_poll_timeout_ms = 100,
    kafka_consumer_reschedule_ms = 50,
    kafka_max_block_size = 131072,
    kafka_poll_max_batch_size = 65536;

CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_messages_store TO market_messages AS
WITH
${FUNCTIONS}
    sent_at(toUnixTimestamp64Milli(ifNull(_timestamp_ms, toDateTime64(0, 3, 'UTC')))) AS sent
SELECT _topic AS topic, _key AS key, sent AS timestamp, _partition AS partition, _offset AS offset, message
FROM ingest_messages_queue
WHERE (topic, key, timestamp, partition, offset) NOT IN
(
    SELECT topic, key, timestamp, partition, offset
    FROM market_messages
    WHERE (topic, key, timestamp, partition, offset) IN
    (
        SELECT _topic, _key, sent_at(toUnixTimestamp64Milli(ifNull(_timestamp_ms, toDateTime64(0, 3, 'UTC')))), _partition, _offset
        FROM ingest_messages_queue
    )
);
