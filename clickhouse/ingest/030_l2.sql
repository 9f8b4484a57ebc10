-- Moves iqfeed.l2.raw to market_l2. A delete or clear needs no price and size.

-- Parsed messages and their errors. Stores no rows: inserted rows go to the views below.
CREATE TABLE IF NOT EXISTS ingest_l2_parsed
(
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64,
    key String,
    message String,
    -- 1 for an invalid message, 2 for a market maker's two-sided quote, which goes to ingest_makers.
    wrong UInt8,
    no_symbol UInt8,
    no_time UInt8,
    no_price UInt8,
    -- 1 for a delete without price, market maker, order id and level.
    names_nothing UInt8,
    symbol String,
    timestamp DateTime64(6, 'UTC'),
    side LowCardinality(String),
    price Nullable(Decimal(18, 8)),
    size Nullable(Float64),
    operation LowCardinality(String),
    level Nullable(UInt64),
    market_maker LowCardinality(String),
    order_id Nullable(UInt64),
    order_count Nullable(UInt64),
    tick_id Nullable(UInt64),
    sequence UInt64,
    ingestion_time DateTime64(3, 'UTC'),
    source LowCardinality(String)
)
ENGINE = Null;

-- As for trades.
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

-- Marks buckets as stale even for skipped rows, because the crash may have happened before they were marked.
CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_book_stale TO market_rollup_state AS
SELECT DISTINCT 'book' AS rollup, toStartOfFiveMinutes(timestamp) AS bucket, nowInBlock64(6, 'UTC') AS inserted_at
FROM ingest_l2_parsed
WHERE wrong = 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_l2_reject TO market_rejects AS
WITH
${FUNCTIONS}
    lower(JSONExtractString(if(isValidJSON(message), message, quoted(message)), 'l2_operation')) AS l2_operation,
    [
        if(no_symbol, 'symbol', ''),
        if(no_time, 'timestamp', ''),
        if(side = '', 'side', ''),
        if(no_price OR names_nothing, 'price', ''),
        if(is_no_size(size), 'size', ''),
        if(operation = '' AND l2_operation IN ('', 'update', 'delete'), 'operation', ''),
        if(ifNull(level > 65535, 1) OR names_nothing, 'level', ''),
        if(order_id IS NULL OR names_nothing, 'order_id', ''),
        if(ifNull(order_count > 4294967295, 1), 'order_count', ''),
        if(tick_id IS NULL, 'tick_id', ''),
        if(operation = '' AND l2_operation NOT IN ('', 'update', 'delete'), 'l2_operation', ''),
        if(names_nothing, 'market_maker', '')
    ] AS fields
SELECT topic, partition, offset, ingestion_time AS timestamp, key, message, reason(message, fields) AS error
FROM ingest_l2_parsed
WHERE wrong = 1 AND (topic, partition, offset, ingestion_time) NOT IN
(
    SELECT topic, partition, offset, timestamp
    FROM market_rejects
    WHERE (topic, partition, offset) IN (SELECT topic, partition, offset FROM ingest_l2_parsed WHERE wrong = 1)
);

CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_l2_makers TO ingest_makers AS
SELECT topic, partition, offset, key, message, ingestion_time
FROM ingest_l2_parsed
WHERE wrong = 2;

CREATE TABLE IF NOT EXISTS ingest_l2_queue (message String)
ENGINE = Kafka
SETTINGS
    kafka_broker_list = '{l2_kafka}',
    kafka_topic_list = 'iqfeed.l2.raw',
    kafka_group_name = 'l2_ingest.l2',
    -- Messages are read as raw bytes: a format that parses could fail here and stop the topic.
    kafka_format = 'RawBLOB',
    kafka_num_consumers = ${INGEST_CONSUMERS},
    kafka_thread_per_consumer = 1,
    kafka_flush_interval_ms = ${INGEST_FLUSH_MS},
    -- Milliseconds per poll, and the maximum delay of a flush.
    kafka_poll_timeout_ms = 100,
    -- Milliseconds that a thread sleeps when a consumer has no messages. Threads take the first free consumer: with the default of 500,
    -- they sleep so often that the last of several consumers may not be read for a minute.
    kafka_consumer_reschedule_ms = 50,
    -- Maximum messages per block, which limits memory while a backlog is read.
    kafka_max_block_size = 131072,
    kafka_poll_max_batch_size = 65536;

-- Must be created last: it starts consumption.
CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_l2_parse TO ingest_l2_parsed AS
WITH
${FUNCTIONS}
    -- As for trades.
    'Tuple(
        symbol String, timestamp String, side String, price String, size String, operation String, l2_operation String,
        level String, depth_level String, market_maker String, order_id String, order_count String, tick_id String,
        source String
    )' AS fields,
    time_of(time_text, epoch) AS time,
    is_no_symbol(symbol, message) AS no_symbol,
    is_no_time(time, time_text) AS no_time,
    -- With l2_operation "update", whose codes start at 1, code 3 means delete; without it, 3 is invalid.
    transform(
        operation_text,
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
    word = 'delete' AND market_maker = '' AND order_text IN ('', '0') AS names_no_entry,
    price_of(if(removes AND price_text = '', '0', price_text)) AS price,
    names_no_entry AND price_text = '' AND level_text = '' AS names_nothing,
    is_no_price(price, if(removes AND price_text = '', '0', price_text)) AS no_price,
    size_of(if(removes AND size_text = '', '0', size_text)) AS size,
    -- A clear empties the whole book, so it needs no side.
    transform(
        if(word = 'clear' AND side_text = '', '0', side_text),
        ['0', 'ask', 'a', 's', 'sell', '1', 'bid', 'b', 'buy'], ['ask', 'ask', 'ask', 'ask', 'ask', 'bid', 'bid', 'bid', 'bid'], ''
    ) AS side,
    whole_of(level_text) AS level,
    whole_of(order_text) AS order_id,
    whole_of(count_text) AS order_count,
    whole_of(tick_text) AS tick_id,
    no_symbol + no_time + (side = '') + no_price + is_no_size(size) + (word = '')
        + ifNull(level > 65535, 1) + (order_id IS NULL) + ifNull(order_count > 4294967295, 1) + (tick_id IS NULL)
        + names_nothing != 0 AS bad
SELECT
    topic,
    partition,
    offset,
    key,
    message,
    if(word = 'quote', 2, bad) AS wrong,
    no_symbol,
    no_time,
    no_price,
    names_nothing,
    symbol,
    ifNull(time, toDateTime64(0, 6, 'UTC')) AS timestamp,
    side,
    price,
    size,
    -- A delete that has only a level removes the entry at that level.
    if(names_no_entry AND level_text != '' AND price = 0, 'delete_level', word) AS operation,
    level,
    market_maker,
    order_id,
    order_count,
    tick_id,
    -- Partition and offset as digits of one decimal number. Orders rows with equal timestamps as in Kafka.
    partition * 100000000000000 + offset AS sequence,
    sent_at(sent_ms) AS ingestion_time,
    source
FROM
(
    -- Nested subqueries instead of aliases or lambdas: ClickHouse analyses a column once, but an alias or lambda at each use, in every block.
    SELECT
        topic,
        partition,
        offset,
        key,
        message,
        sent_ms,
        json.symbol AS symbol,
        json.timestamp AS time_text,
        toFloat64OrZero(json.timestamp) AS epoch,
        lower(json.side) AS side_text,
        json.price AS price_text,
        json.size AS size_text,
        lower(if(json.l2_operation = '', json.operation, concat(json.l2_operation, ' ', json.operation))) AS operation_text,
        if(json.level = '', json.depth_level, json.level) AS level_text,
        json.market_maker AS market_maker,
        json.order_id AS order_text,
        json.order_count AS count_text,
        json.tick_id AS tick_text,
        json.source AS source
    FROM
    (
        -- Strings and numbers become text; missing fields and null become ''. If parsing failed, retries with all numbers quoted. The
        -- inner if passes '' for all other rows, because the retry is evaluated for every row.
        SELECT *, if(read.symbol = '', JSONExtract(quoted(if(read.symbol = '', message, '')), fields), read) AS json
        FROM
        (
            SELECT
                _topic AS topic,
                _partition AS partition,
                _offset AS offset,
                _key AS key,
                message,
                toUnixTimestamp64Milli(ifNull(_timestamp_ms, toDateTime64(0, 3, 'UTC'))) AS sent_ms,
                JSONExtract(message, fields) AS read
            FROM ingest_l2_queue
        )
    )
)
-- Stops consumption if a view below the parsed table is missing, because its messages would be lost.
WHERE throwIf((
    SELECT count() = 0
    FROM system.tables
    WHERE database = '${CLICKHOUSE_DATABASE}' AND name = 'ingest_l2_parsed' AND hasAll(dependencies_table, ['ingest_l2_store', 'ingest_l2_reject', 'ingest_l2_makers'])
), 'ingest_l2_store, ingest_l2_reject or ingest_l2_makers is missing, run: ./scripts/ingest.mts on') = 0
    -- Tables created before sizes could be fractional would truncate them.
    AND throwIf((
        SELECT count() < 1
        FROM system.columns
        WHERE database = '${CLICKHOUSE_DATABASE}' AND table IN ('market_l2') AND name IN ('size') AND position(type, 'Float64') > 0
    ), 'sizes in market_l2 are integers only, run: ./scripts/apply-schema.mts --rebuild market_l2') = 0;
