-- iqfeed.l2.raw to market_l2. A delete or clear may come without price and size.

-- What a message says, and what is wrong with it. Holds no rows: what is inserted goes to the two views below.
CREATE TABLE IF NOT EXISTS ingest_l2_parsed
(
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64,
    key String,
    message String,
    -- As for the trades; 32768 for a market maker's two sides in one message, which ingest_makers takes.
    wrong UInt16,
    symbol String,
    timestamp DateTime64(6, 'UTC'),
    side LowCardinality(String),
    price Nullable(Decimal(18, 8)),
    size Nullable(Float64),
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
WHERE wrong = 0 AND (symbol, timestamp, sequence, ingestion_time) NOT IN
(
    SELECT symbol, timestamp, sequence, ingestion_time
    FROM market_l2
    WHERE ingestion_time >= (SELECT min(ingestion_time) FROM ingest_l2_parsed)
        AND timestamp >= (SELECT min(timestamp) FROM ingest_l2_parsed WHERE wrong = 0)
        AND timestamp <= (SELECT max(timestamp) FROM ingest_l2_parsed WHERE wrong = 0)
        AND sequence IN (SELECT sequence FROM ingest_l2_parsed WHERE wrong = 0)
)
SETTINGS use_index_for_in_with_subqueries = 0;

-- Marks what a message is about as to be rolled up also when its row is left out: the crash may have come before the mark.
CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_book_stale TO market_rollup_state AS
SELECT DISTINCT 'book' AS rollup, toStartOfFiveMinutes(timestamp) AS bucket, nowInBlock64(6, 'UTC') AS inserted_at
FROM ingest_l2_parsed
WHERE wrong = 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_l2_reject TO market_rejects AS
WITH
${FUNCTIONS}
    [
        'symbol', 'timestamp', 'side', 'price', 'size', 'operation', 'level', 'order_id', 'order_count', 'tick_id', 'l2_operation',
        'market_maker'
    ] AS fields
SELECT topic, partition, offset, ingestion_time AS timestamp, key, message, reason(message, fields, wrong) AS error
FROM ingest_l2_parsed
WHERE wrong NOT IN (0, 32768) AND (topic, partition, offset, ingestion_time) NOT IN
(
    SELECT topic, partition, offset, timestamp
    FROM market_rejects
    WHERE (topic, partition, offset) IN (SELECT topic, partition, offset FROM ingest_l2_parsed WHERE wrong NOT IN (0, 32768))
);

CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_l2_makers TO ingest_makers AS
SELECT topic, partition, offset, key, message, ingestion_time
FROM ingest_l2_parsed
WHERE wrong = 32768;

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
${FUNCTIONS}
    -- As for the trades.
    'Tuple(
        symbol String, timestamp String, side String, price String, size String, operation String, l2_operation String, level String,
        depth_level String, market_maker String, order_id String, order_count String, tick_id String, source String
    )' AS fields,
    JSONExtract(message, fields) AS read,
    if(read.symbol = '', JSONExtract(quoted(if(read.symbol = '', message, '')), fields), read) AS json,
    time_of(json.timestamp) AS time,
    -- 3 is a delete beside l2_operation "update", which counts from 1, and nothing without it.
    transform(
        lower(if(json.l2_operation = '', json.operation, concat(json.l2_operation, ' ', json.operation))),
        [
            '0', '1', '2', 'insert', 'add', 'update', 'delete', 'clear',
            'update ', 'update 0', 'update 1', 'update 2', 'update 3', 'update insert', 'update add', 'update update', 'update delete',
            'delete ', 'delete 0', 'delete 1', 'delete 2', 'delete 3', 'delete delete', 'market_maker_update '
        ],
        [
            'insert', 'update', 'delete', 'insert', 'insert', 'update', 'delete', 'clear',
            'update', 'insert', 'insert', 'update', 'delete', 'insert', 'insert', 'update', 'delete',
            'delete', 'delete', 'delete', 'delete', 'delete', 'delete', 'quote'
        ],
        ''
    ) AS word,
    word IN ('delete', 'clear') AS removes,
    either(json.level, json.depth_level) AS level_text,
    json.market_maker = '' AND json.order_id IN ('', '0') AND word = 'delete' AS names_no_entry,
    price_of(if(removes AND json.price = '', '0', json.price)) AS price,
    -- Without anything else it names what stands at its level.
    if(names_no_entry AND level_text != '' AND price = 0, 'delete_level', word) AS operation,
    -- A clear is of the whole book, so it needs no side.
    transform(
        if(word = 'clear' AND json.side = '', '0', lower(json.side)),
        ['0', 'ask', 'a', 's', 'sell', '1', 'bid', 'b', 'buy'], ['ask', 'ask', 'ask', 'ask', 'ask', 'bid', 'bid', 'bid', 'bid'], ''
    ) AS side,
    size_of(if(removes AND json.size = '', '0', json.size)) AS size,
    whole_of(level_text) AS level,
    whole_of(json.order_id) AS order_id,
    whole_of(json.order_count) AS order_count,
    whole_of(json.tick_id) AS tick_id,
    names_no_entry AND json.price = '' AND level_text = '' AS names_nothing,
    is_no_symbol(json.symbol, message) AS no_symbol,
    is_no_time(time) AS no_time,
    is_no_size(size) AS no_size,
    ifNull(level > 65535, 1) AS no_level,
    ifNull(order_count > 4294967295, 1) AS no_order_count,
    no_symbol + no_time + (side = '') + (price IS NULL) + no_size + (word IN ('', 'quote')) + no_level + (order_id IS NULL)
        + no_order_count + (tick_id IS NULL) + names_nothing != 0 AS bad
SELECT
    _topic AS topic,
    _partition AS partition,
    _offset AS offset,
    _key AS key,
    message,
    -- In the order of ingest_l2_reject.
    if(
        bad,
        if(
            word = 'quote',
            32768,
            no_symbol + 2 * no_time + 4 * (side = '') + 8 * (price IS NULL OR names_nothing) + 16 * no_size
                + 32 * (word = '' AND json.l2_operation IN ('', 'update', 'delete')) + 64 * (no_level OR names_nothing)
                + 128 * (order_id IS NULL OR names_nothing) + 256 * no_order_count + 512 * (tick_id IS NULL)
                + 1024 * (word = '' AND json.l2_operation NOT IN ('', 'update', 'delete')) + 2048 * names_nothing
        ),
        0
    ) AS wrong,
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
    sent_at(toUnixTimestamp64Milli(ifNull(_timestamp_ms, toDateTime64(0, 3, 'UTC')))) AS ingestion_time,
    json.source AS source
FROM ingest_l2_queue
-- Where nothing takes what is parsed, it would be lost: then nothing is taken from the topic either.
WHERE throwIf((
    SELECT count() = 0
    FROM system.tables
    WHERE database = '${CLICKHOUSE_DATABASE}' AND name = 'ingest_l2_parsed' AND hasAll(dependencies_table, ['ingest_l2_store', 'ingest_l2_reject', 'ingest_l2_makers'])
), 'ingest_l2_store, ingest_l2_reject or ingest_l2_makers is missing, run: ./scripts/ingest.mts on') = 0
    -- A table from before sizes had fractions would cut them.
    AND throwIf((
        SELECT count() < 1
        FROM system.columns
        WHERE database = '${CLICKHOUSE_DATABASE}' AND table IN ('market_l2') AND name IN ('size') AND type = 'LowCardinality(Float64)'
    ), 'sizes in market_l2 take no fraction, run: ./scripts/apply-schema.mts --rebuild market_l2') = 0;
