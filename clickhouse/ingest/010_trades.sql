-- iqfeed.trades.raw to market_ticks: queue, parse, then store or reject.

-- What a message says, and what is wrong with it. Holds no rows: what is inserted goes to the two views below.
CREATE TABLE IF NOT EXISTS ingest_trades_parsed
(
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64,
    key String,
    message String,
    error String,
    symbol String,
    timestamp DateTime64(6, 'UTC'),
    price Nullable(Decimal(18, 8)),
    size Nullable(UInt32),
    conditions LowCardinality(String),
    ingestion_time DateTime64(3, 'UTC'),
    source LowCardinality(String),
    tick_id Nullable(UInt64),
    sequence UInt64,
    market_center Nullable(UInt16),
    bid Nullable(Decimal(18, 8)),
    ask Nullable(Decimal(18, 8)),
    total_volume Nullable(UInt64),
    basis LowCardinality(String),
    correction LowCardinality(String)
)
ENGINE = Null;

-- Leaves out what is stored already, as happens when the server or Kafka dies between the storing of a block and its commit.
-- Reads only what was received since the oldest message of the block: next to nothing, by the index on ingestion_time.
CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_trades_store TO market_ticks AS
SELECT
    symbol, timestamp, price, size, conditions, ingestion_time, source, tick_id, sequence, market_center, bid, ask,
    total_volume, basis, correction
FROM ingest_trades_parsed
WHERE error = '' AND (symbol, timestamp, sequence, ingestion_time) NOT IN
(
    SELECT symbol, timestamp, sequence, ingestion_time
    FROM market_ticks
    WHERE ingestion_time >= (SELECT min(ingestion_time) FROM ingest_trades_parsed)
        AND timestamp >= (SELECT min(timestamp) FROM ingest_trades_parsed WHERE error = '')
        AND timestamp <= (SELECT max(timestamp) FROM ingest_trades_parsed WHERE error = '')
        AND sequence IN (SELECT sequence FROM ingest_trades_parsed WHERE error = '')
)
-- To look so many sequences up in the key costs more than it saves: the times have narrowed it down.
SETTINGS use_index_for_in_with_subqueries = 0;

-- Marks what a message is about as to be rolled up also when its row is left out: the crash may have come before the mark.
CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_bars_stale TO market_rollup_state AS
SELECT DISTINCT 'bars' AS rollup, toStartOfFiveMinutes(timestamp) AS bucket, nowInBlock64(6, 'UTC') AS inserted_at
FROM ingest_trades_parsed
WHERE error = '';

CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_trades_reject TO market_rejects AS
SELECT topic, partition, offset, ingestion_time AS timestamp, key, message, error
FROM ingest_trades_parsed
WHERE error != '' AND (topic, partition, offset, ingestion_time) NOT IN
(
    SELECT topic, partition, offset, timestamp
    FROM market_rejects
    WHERE (topic, partition, offset) IN (SELECT topic, partition, offset FROM ingest_trades_parsed WHERE error != '')
);

CREATE TABLE IF NOT EXISTS ingest_trades_queue (message String)
ENGINE = Kafka
SETTINGS
    kafka_broker_list = '{l2_kafka}',
    kafka_topic_list = 'iqfeed.trades.raw',
    kafka_group_name = 'l2_ingest.trades',
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
CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_trades_parse TO ingest_trades_parsed AS
WITH
    -- Words and numbers alike become text; what is missing or null becomes ''.
    JSONExtract(message, 'Tuple(
        symbol String, timestamp String, trade_price String, trade_size String, total_volume String, trade_market_center
        String, trade_conditions String, tick_id String, bid_price String, ask_price String, basis String, correction
        String, source String
    )') AS json,
    -- ISO 8601 or seconds since 1970. Of other text the parser makes times that nobody sent: of `12` a day of this month, of
    -- `10:00:00` one of this year's first day, of hour 25 the next day.
    parseDateTime64BestEffortOrNull(if(match(
        json.timestamp,
        '^((19[7-9]|20[0-9]|210)[0-9]-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,9})?)?)?( ?(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?))?|[0-9]{9,10}([.][0-9]+)?)$'
    ), json.timestamp, ''), 6, 'UTC') AS time,
    toDecimal64OrNull(json.trade_price, 8) AS price,
    toUInt32OrNull(json.trade_size) AS size,
    toUInt64OrNull(if(json.total_volume = '', '0', json.total_volume)) AS total_volume,
    toUInt16OrNull(if(json.trade_market_center = '', '0', json.trade_market_center)) AS market_center,
    toUInt64OrNull(if(json.tick_id = '', '0', json.tick_id)) AS tick_id,
    toDecimal64OrNull(if(json.bid_price = '', '0', json.bid_price), 8) AS bid,
    toDecimal64OrNull(if(json.ask_price = '', '0', json.ask_price), 8) AS ask,
    if(json.correction = '', 'none', lower(json.correction)) AS correction,
    [
        json.symbol = '',
        -- On 2106-02-07 the seconds end that DateTime counts: the tables of minutes would show a later trade in another century.
        ifNull(time < toDateTime64('1970-01-02', 6, 'UTC') OR time >= toDateTime64('2106-02-07', 6, 'UTC'), 1),
        price IS NULL,
        size IS NULL,
        total_volume IS NULL,
        market_center IS NULL,
        tick_id IS NULL,
        bid IS NULL,
        ask IS NULL,
        correction NOT IN ('none', 'insert', 'delete')
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
            'symbol', 'timestamp', 'trade_price', 'trade_size', 'total_volume', 'trade_market_center', 'tick_id',
            'bid_price', 'ask_price', 'correction'
        ], wrong), ', ')),
        '') AS error,
    json.symbol AS symbol,
    ifNull(time, toDateTime64(0, 6, 'UTC')) AS timestamp,
    price,
    size,
    json.trade_conditions AS conditions,
    ifNull(_timestamp_ms, toDateTime64(0, 3, 'UTC')) AS ingestion_time,
    json.source AS source,
    tick_id,
    -- Both in one number, to be read in decimal. It orders what has the same timestamp as Kafka has it.
    _partition * 100000000000000 + _offset AS sequence,
    market_center,
    bid,
    ask,
    total_volume,
    json.basis AS basis,
    correction
FROM ingest_trades_queue
-- Where nothing takes what is parsed, it would be lost: then nothing is taken from the topic either.
WHERE throwIf((
    SELECT count() = 0
    FROM system.tables
    WHERE database = '${CLICKHOUSE_DATABASE}' AND name = 'ingest_trades_parsed' AND hasAll(dependencies_table, ['ingest_trades_store', 'ingest_trades_reject'])
), 'ingest_trades_store or ingest_trades_reject is missing, run: ./scripts/ingest.mts on') = 0;
