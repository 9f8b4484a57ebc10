-- iqfeed.quotes.raw to market_l1. A side without price and size is one that nobody quotes.

-- What a message says, and what is wrong with it. Holds no rows: what is inserted goes to the two views below.
CREATE TABLE IF NOT EXISTS ingest_quotes_parsed
(
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64,
    key String,
    message String,
    error String,
    symbol String,
    timestamp DateTime64(6, 'UTC'),
    bid Nullable(Decimal(18, 8)),
    ask Nullable(Decimal(18, 8)),
    bid_size Nullable(UInt32),
    ask_size Nullable(UInt32),
    ingestion_time DateTime64(3, 'UTC'),
    source LowCardinality(String),
    tick_id Nullable(UInt64),
    sequence UInt64,
    bid_market_center Nullable(UInt16),
    ask_market_center Nullable(UInt16)
)
ENGINE = Null;

-- As for the trades.
CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_quotes_store TO market_l1 AS
SELECT
    symbol, timestamp, bid, ask, bid_size, ask_size, ingestion_time, source, tick_id, sequence, bid_market_center,
    ask_market_center
FROM ingest_quotes_parsed
WHERE error = '' AND (symbol, timestamp, sequence, ingestion_time) NOT IN
(
    SELECT symbol, timestamp, sequence, ingestion_time
    FROM market_l1
    WHERE ingestion_time >= (SELECT min(ingestion_time) FROM ingest_quotes_parsed)
        AND timestamp >= (SELECT min(timestamp) FROM ingest_quotes_parsed WHERE error = '')
        AND timestamp <= (SELECT max(timestamp) FROM ingest_quotes_parsed WHERE error = '')
        AND sequence IN (SELECT sequence FROM ingest_quotes_parsed WHERE error = '')
)
SETTINGS use_index_for_in_with_subqueries = 0;

-- The latest quotes of a message also when its row is left out: the crash may have come before these were stored.
CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_latest_quotes TO market_l1_latest AS
WITH bitOr(bitShiftLeft(toUInt128(toUnixTimestamp64Micro(ingest_quotes_parsed.timestamp)), 64), ingest_quotes_parsed.sequence) AS place
SELECT
    symbol,
    max(ingest_quotes_parsed.timestamp) AS timestamp,
    argMax(ingest_quotes_parsed.bid, place) AS bid,
    argMax(ingest_quotes_parsed.ask, place) AS ask,
    argMax(ingest_quotes_parsed.bid_size, place) AS bid_size,
    argMax(ingest_quotes_parsed.ask_size, place) AS ask_size,
    argMax(ingest_quotes_parsed.bid_market_center, place) AS bid_market_center,
    argMax(ingest_quotes_parsed.ask_market_center, place) AS ask_market_center,
    argMax(ingest_quotes_parsed.sequence, place) AS sequence,
    max(place) AS position
FROM ingest_quotes_parsed
WHERE error = ''
GROUP BY symbol;

CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_quotes_reject TO market_rejects AS
SELECT topic, partition, offset, ingestion_time AS timestamp, key, message, error
FROM ingest_quotes_parsed
WHERE error != '' AND (topic, partition, offset, ingestion_time) NOT IN
(
    SELECT topic, partition, offset, timestamp
    FROM market_rejects
    WHERE (topic, partition, offset) IN (SELECT topic, partition, offset FROM ingest_quotes_parsed WHERE error != '')
);

CREATE TABLE IF NOT EXISTS ingest_quotes_queue (message String)
ENGINE = Kafka
SETTINGS
    kafka_broker_list = '{l2_kafka}',
    kafka_topic_list = 'iqfeed.quotes.raw',
    kafka_group_name = 'l2_ingest.quotes',
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
CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_quotes_parse TO ingest_quotes_parsed AS
WITH
    -- Words and numbers alike become text; what is missing or null becomes ''.
    JSONExtract(message, 'Tuple(
        symbol String, timestamp String, bid_price String, bid_size String, ask_price String, ask_size String,
        bid_market_center String, ask_market_center String, tick_id String, source String
    )') AS json,
    -- As for the trades.
    parseDateTime64BestEffortOrNull(if(match(
        json.timestamp,
        '^((19[7-9]|20[0-9]|210)[0-9]-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,9})?)?)?( ?(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?))?|[0-9]{9,10}([.][0-9]+)?)$'
    ), json.timestamp, ''), 6, 'UTC') AS time,
    json.bid_price = '' AND json.bid_size = '' AS no_bid,
    json.ask_price = '' AND json.ask_size = '' AS no_ask,
    toDecimal64OrNull(if(no_bid, '0', json.bid_price), 8) AS bid,
    toDecimal64OrNull(if(no_ask, '0', json.ask_price), 8) AS ask,
    toUInt32OrNull(if(no_bid, '0', json.bid_size)) AS bid_size,
    toUInt32OrNull(if(no_ask, '0', json.ask_size)) AS ask_size,
    toUInt16OrNull(if(json.bid_market_center = '', '0', json.bid_market_center)) AS bid_market_center,
    toUInt16OrNull(if(json.ask_market_center = '', '0', json.ask_market_center)) AS ask_market_center,
    toUInt64OrNull(if(json.tick_id = '', '0', json.tick_id)) AS tick_id,
    [
        json.symbol = '',
        ifNull(time < toDateTime64('1970-01-02', 6, 'UTC') OR time >= toDateTime64('2106-02-07', 6, 'UTC'), 1),
        bid IS NULL OR (no_bid AND no_ask),
        bid_size IS NULL,
        ask IS NULL OR (no_bid AND no_ask),
        ask_size IS NULL,
        bid_market_center IS NULL,
        ask_market_center IS NULL,
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
            'symbol', 'timestamp', 'bid_price', 'bid_size', 'ask_price', 'ask_size', 'bid_market_center',
            'ask_market_center', 'tick_id'
        ], wrong), ', ')),
        '') AS error,
    json.symbol AS symbol,
    ifNull(time, toDateTime64(0, 6, 'UTC')) AS timestamp,
    bid,
    ask,
    bid_size,
    ask_size,
    ifNull(_timestamp_ms, toDateTime64(0, 3, 'UTC')) AS ingestion_time,
    json.source AS source,
    tick_id,
    -- Both in one number, to be read in decimal. It orders what has the same timestamp as Kafka has it.
    _partition * 100000000000000 + _offset AS sequence,
    bid_market_center,
    ask_market_center
FROM ingest_quotes_queue
-- Where nothing takes what is parsed, it would be lost: then nothing is taken from the topic either.
WHERE throwIf((
    SELECT count() = 0
    FROM system.tables
    WHERE database = '${CLICKHOUSE_DATABASE}' AND name = 'ingest_quotes_parsed' AND hasAll(dependencies_table, ['ingest_quotes_store', 'ingest_quotes_reject'])
), 'ingest_quotes_store or ingest_quotes_reject is missing, run: ./scripts/ingest.mts on') = 0;
