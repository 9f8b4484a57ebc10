-- iqfeed.trades.raw to market_ticks: queue, parse, then store or reject.

-- What a message says, and what is wrong with it. Holds no rows: what is inserted goes to the two views below.
CREATE TABLE IF NOT EXISTS ingest_trades_parsed
(
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64,
    key String,
    message String,
    -- A bit for each field that cannot be used.
    wrong UInt16,
    symbol String,
    timestamp DateTime64(6, 'UTC'),
    price Nullable(Decimal(18, 8)),
    size Nullable(Float64),
    conditions LowCardinality(String),
    ingestion_time DateTime64(3, 'UTC'),
    source LowCardinality(String),
    tick_id Nullable(UInt64),
    sequence UInt64,
    market_center UInt16,
    exchange LowCardinality(String),
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
    symbol, timestamp, price, size, conditions, ingestion_time, source, tick_id, sequence, market_center, exchange,
    bid, ask, total_volume, basis, correction
FROM ingest_trades_parsed
WHERE wrong = 0 AND (symbol, timestamp, sequence, ingestion_time) NOT IN
(
    SELECT symbol, timestamp, sequence, ingestion_time
    FROM market_ticks
    WHERE ingestion_time >= (SELECT min(ingestion_time) FROM ingest_trades_parsed)
        AND timestamp >= (SELECT min(timestamp) FROM ingest_trades_parsed WHERE wrong = 0)
        AND timestamp <= (SELECT max(timestamp) FROM ingest_trades_parsed WHERE wrong = 0)
        AND sequence IN (SELECT sequence FROM ingest_trades_parsed WHERE wrong = 0)
)
-- To look so many sequences up in the key costs more than it saves: the times have narrowed it down.
SETTINGS use_index_for_in_with_subqueries = 0;

-- Marks what a message is about as to be rolled up also when its row is left out: the crash may have come before the mark.
CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_bars_stale TO market_rollup_state AS
SELECT DISTINCT 'bars' AS rollup, toStartOfFiveMinutes(timestamp) AS bucket, nowInBlock64(6, 'UTC') AS inserted_at
FROM ingest_trades_parsed
WHERE wrong = 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_trades_reject TO market_rejects AS
WITH
${FUNCTIONS}
    ['symbol', 'timestamp', 'trade_price', 'trade_size', 'total_volume', 'tick_id', 'bid_price', 'ask_price', 'correction'] AS fields
SELECT topic, partition, offset, ingestion_time AS timestamp, key, message, reason(message, fields, wrong) AS error
FROM ingest_trades_parsed
WHERE wrong != 0 AND (topic, partition, offset, ingestion_time) NOT IN
(
    SELECT topic, partition, offset, timestamp
    FROM market_rejects
    WHERE (topic, partition, offset) IN (SELECT topic, partition, offset FROM ingest_trades_parsed WHERE wrong != 0)
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
${FUNCTIONS}
    -- Words and numbers alike become text; what is missing or null becomes ''. Behind each field of ours are the names of the table's columns.
    'Tuple(
        symbol String, timestamp String, trade_price String, price String, trade_size String, size String, total_volume String,
        trade_market_center String, market_center String, exchange String, trade_conditions String, conditions String, tick_id String,
        bid_price String, bid String, ask_price String, ask String, basis String, correction String, source String
    )' AS fields,
    JSONExtract(message, fields) AS read,
    -- Of an empty text, since it is read again in every row.
    if(read.symbol = '', JSONExtract(quoted(if(read.symbol = '', message, '')), fields), read) AS json,
    time_of(json.timestamp) AS time,
    price_of(either(json.trade_price, json.price)) AS price,
    size_of(either(json.trade_size, json.size)) AS size,
    whole_of(json.total_volume) AS total_volume,
    either(either(json.trade_market_center, json.market_center), json.exchange) AS center,
    whole_of(center) AS center_number,
    either(json.trade_conditions, json.conditions) AS codes,
    whole_of(json.tick_id) AS tick_id,
    price_of(either(either(json.bid_price, json.bid), '0')) AS bid,
    price_of(either(either(json.ask_price, json.ask), '0')) AS ask,
    if(json.correction = '', 'none', lower(json.correction)) AS correction,
    ifNull(center_number > 65535, 1) AS center_is_name,
    is_no_symbol(json.symbol, message) AS no_symbol,
    is_no_time(time) AS no_time,
    is_no_size(size) AS no_size,
    correction NOT IN ('none', 'insert', 'delete') AS no_correction,
    -- Added up, since OR works through its conditions one selection of rows at a time.
    no_symbol + no_time + (price IS NULL) + no_size + (total_volume IS NULL) + (tick_id IS NULL) + (bid IS NULL) + (ask IS NULL)
        + no_correction != 0 AS bad
SELECT
    _topic AS topic,
    _partition AS partition,
    _offset AS offset,
    _key AS key,
    message,
    -- In the order of ingest_trades_reject.
    if(
        bad,
        no_symbol + 2 * no_time + 4 * (price IS NULL) + 8 * no_size + 16 * (total_volume IS NULL) + 32 * (tick_id IS NULL)
            + 64 * (bid IS NULL) + 128 * (ask IS NULL) + 256 * no_correction,
        0
    ) AS wrong,
    json.symbol AS symbol,
    ifNull(time, toDateTime64(0, 6, 'UTC')) AS timestamp,
    price,
    size,
    -- Codes in an array are put one behind the other, as IQFeed has them.
    if(startsWith(codes, '['), arrayStringConcat(JSONExtract(codes, 'Array(String)')), codes) AS conditions,
    sent_at(toUnixTimestamp64Milli(ifNull(_timestamp_ms, toDateTime64(0, 3, 'UTC')))) AS ingestion_time,
    json.source AS source,
    tick_id,
    -- Both in one number, to be read in decimal. It orders what has the same timestamp as Kafka has it.
    _partition * 100000000000000 + _offset AS sequence,
    if(center_is_name, 0, center_number) AS market_center,
    if(center_is_name, center, '') AS exchange,
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
), 'ingest_trades_store or ingest_trades_reject is missing, run: ./scripts/ingest.mts on') = 0
    -- A table from before sizes had fractions would cut them.
    AND throwIf((
        SELECT count() < 1
        FROM system.columns
        WHERE database = '${CLICKHOUSE_DATABASE}' AND table IN ('market_ticks') AND name IN ('size') AND type = 'LowCardinality(Float64)'
    ), 'sizes in market_ticks take no fraction, run: ./scripts/apply-schema.mts --rebuild market_ticks') = 0;
