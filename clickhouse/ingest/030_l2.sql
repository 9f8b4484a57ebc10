-- iqfeed.l2.raw to market_l2. A delete or clear may come without price and size.

-- What a message says, and what is wrong with it. Holds no rows: what is inserted goes to the two views below.
CREATE TABLE IF NOT EXISTS ingest_l2_parsed
(
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64,
    key String,
    message String,
    error String,
    symbol String,
    timestamp DateTime64(6, 'UTC'),
    side LowCardinality(String),
    price Nullable(Decimal(18, 8)),
    size Nullable(UInt32),
    operation LowCardinality(String),
    level Nullable(UInt16),
    market_maker LowCardinality(String),
    order_id Nullable(UInt64),
    order_count Nullable(UInt32),
    tick_id Nullable(UInt64),
    sequence UInt64,
    ingestion_time DateTime64(3, 'UTC'),
    source LowCardinality(String)
)
ENGINE = Null;

-- As for the trades.
CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_l2_store TO market_l2 AS
SELECT
    symbol, timestamp, side, price, size, operation, level, market_maker, order_id, order_count, tick_id, sequence,
    ingestion_time, source
FROM ingest_l2_parsed
WHERE error = '' AND (symbol, timestamp, sequence, ingestion_time) NOT IN
(
    SELECT symbol, timestamp, sequence, ingestion_time
    FROM market_l2
    WHERE ingestion_time >= (SELECT min(ingestion_time) FROM ingest_l2_parsed)
        AND timestamp >= (SELECT min(timestamp) FROM ingest_l2_parsed WHERE error = '')
        AND timestamp <= (SELECT max(timestamp) FROM ingest_l2_parsed WHERE error = '')
        AND sequence IN (SELECT sequence FROM ingest_l2_parsed WHERE error = '')
)
SETTINGS use_index_for_in_with_subqueries = 0;

-- Marks what a message is about as to be rolled up also when its row is left out: the crash may have come before the mark.
CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_book_stale TO market_rollup_state AS
SELECT DISTINCT 'book' AS rollup, toStartOfFiveMinutes(timestamp) AS bucket, nowInBlock64(6, 'UTC') AS inserted_at
FROM ingest_l2_parsed
WHERE error = '';

CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_l2_reject TO market_rejects AS
SELECT topic, partition, offset, ingestion_time AS timestamp, key, message, error
FROM ingest_l2_parsed
WHERE error != '' AND (topic, partition, offset, ingestion_time) NOT IN
(
    SELECT topic, partition, offset, timestamp
    FROM market_rejects
    WHERE (topic, partition, offset) IN (SELECT topic, partition, offset FROM ingest_l2_parsed WHERE error != '')
);

CREATE TABLE IF NOT EXISTS ingest_l2_queue (message String)
ENGINE = Kafka
SETTINGS
    kafka_broker_list = '{l2_kafka}',
    kafka_topic_list = 'iqfeed.l2.raw',
    kafka_group_name = 'l2_ingest.l2',
    -- A message is taken as it is: a format that parses could fail here and stop the topic.
    kafka_format = 'RawBLOB',
    kafka_num_consumers = ${INGEST_CONSUMERS},
    kafka_thread_per_consumer = 1,
    kafka_flush_interval_ms = ${INGEST_FLUSH_MS},
    -- Milliseconds that one poll collects: the flush comes at most so much late.
    kafka_poll_timeout_ms = 100,
    -- Milliseconds that a thread rests after it found nothing. It takes the first consumer that is free: with the default of 500 the
    -- threads rest so often that the last of several consumers may not be read for a minute.
    kafka_consumer_reschedule_ms = 50,
    -- Messages. Bounds a block's memory while a backlog is read.
    kafka_max_block_size = 131072,
    kafka_poll_max_batch_size = 65536;

-- The last one: from here on messages flow.
CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_l2_parse TO ingest_l2_parsed AS
WITH
    -- Words and numbers alike become text; what is missing or null becomes ''.
    JSONExtract(message, 'Tuple(
        symbol String, timestamp String, side String, price String, size String, operation String, level String,
        market_maker String, order_id String, order_count String, tick_id String, source String
    )') AS json,
    -- As for the trades.
    parseDateTime64BestEffortOrNull(if(match(
        json.timestamp,
        '^((19[7-9]|20[0-9]|210)[0-9]-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,9})?)?)?( ?(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?))?|[0-9]{9,10}([.][0-9]+)?)$'
    ), json.timestamp, ''), 6, 'UTC') AS time,
    transform(lower(json.operation), ['0', '1', '2', '3', 'insert', 'update', 'delete', 'clear'], ['insert', 'update', 'delete', 'clear', 'insert', 'update', 'delete', 'clear'], '') AS operation,
    operation IN ('delete', 'clear') AS removes,
    -- A clear is of the whole book, so it needs no side.
    transform(if(operation = 'clear' AND json.side = '', '0', lower(json.side)), ['0', '1', 'ask', 'bid'], ['ask', 'bid', 'ask', 'bid'], '') AS side,
    toDecimal64OrNull(if(removes AND json.price = '', '0', json.price), 8) AS price,
    toUInt32OrNull(if(removes AND json.size = '', '0', json.size)) AS size,
    toUInt16OrNull(if(json.level = '', '0', json.level)) AS level,
    toUInt64OrNull(if(json.order_id = '', '0', json.order_id)) AS order_id,
    toUInt32OrNull(if(json.order_count = '', '0', json.order_count)) AS order_count,
    toUInt64OrNull(if(json.tick_id = '', '0', json.tick_id)) AS tick_id,
    [
        json.symbol = '',
        ifNull(time < toDateTime64('1970-01-02', 6, 'UTC') OR time >= toDateTime64('2106-02-07', 6, 'UTC'), 1),
        side = '',
        price IS NULL,
        size IS NULL,
        operation = '',
        level IS NULL,
        order_id IS NULL,
        order_count IS NULL,
        tick_id IS NULL
    ] AS wrong
SELECT
    _topic AS topic,
    _partition AS partition,
    _offset AS offset,
    _key AS key,
    message,
    multiIf(
        JSONType(message) != 'Object', 'not a JSON object',
        has(wrong, 1), concat('cannot use: ', arrayStringConcat(arrayFilter((field, bad) -> bad, [
            'symbol', 'timestamp', 'side', 'price', 'size', 'operation', 'level', 'order_id', 'order_count',
            'tick_id'
        ], wrong), ', ')),
        '') AS error,
    json.symbol AS symbol,
    ifNull(time, toDateTime64(0, 6, 'UTC')) AS timestamp,
    side,
    price,
    size,
    operation,
    level,
    json.market_maker AS market_maker,
    order_id,
    order_count,
    tick_id,
    -- Both in one number, to be read in decimal. It orders what has the same timestamp as Kafka has it.
    _partition * 100000000000000 + _offset AS sequence,
    ifNull(_timestamp_ms, toDateTime64(0, 3, 'UTC')) AS ingestion_time,
    json.source AS source
FROM ingest_l2_queue
-- Where nothing takes what is parsed, it would be lost: then nothing is taken from the topic either.
WHERE throwIf((
    SELECT count() = 0
    FROM system.tables
    WHERE database = '${CLICKHOUSE_DATABASE}' AND name = 'ingest_l2_parsed' AND hasAll(dependencies_table, ['ingest_l2_store', 'ingest_l2_reject'])
), 'ingest_l2_store or ingest_l2_reject is missing, run: ./scripts/ingest.mts on') = 0;
