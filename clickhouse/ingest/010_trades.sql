-- Moves iqfeed.trades.raw to market_ticks: queue, parse, then store or reject.

-- Parsed messages and their errors. Stores no rows: inserted rows go to the views below.
CREATE TABLE IF NOT EXISTS ingest_trades_parsed
(
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64,
    key String,
    message String,
    -- 1 for an invalid message.
    wrong UInt8,
    no_symbol UInt8,
    no_time UInt8,
    no_price UInt8,
    no_bid UInt8,
    no_ask UInt8,
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

-- Skips rows that are already stored, which happens when the server or Kafka dies after a block is stored and before its offsets are
-- committed. Reads only rows received since the oldest message of the block, which the index on ingestion_time makes cheap.
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
-- Index lookups for so many sequences cost more than they save: the time range is already narrow.
SETTINGS use_index_for_in_with_subqueries = 0;

-- Marks buckets as stale even for skipped rows, because the crash may have happened before they were marked.
CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_bars_stale TO market_rollup_state AS
SELECT DISTINCT 'bars' AS rollup, toStartOfFiveMinutes(timestamp) AS bucket, nowInBlock64(6, 'UTC') AS inserted_at
FROM ingest_trades_parsed
WHERE wrong = 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_trades_reject TO market_rejects AS
WITH
${FUNCTIONS}
    [
        if(no_symbol, 'symbol', ''),
        if(no_time, 'timestamp', ''),
        if(no_price, 'trade_price', ''),
        if(is_no_size(size), 'trade_size', ''),
        if(total_volume IS NULL, 'total_volume', ''),
        if(tick_id IS NULL, 'tick_id', ''),
        if(no_bid, 'bid_price', ''),
        if(no_ask, 'ask_price', ''),
        if(correction NOT IN ('none', 'insert', 'delete'), 'correction', '')
    ] AS fields
SELECT topic, partition, offset, ingestion_time AS timestamp, key, message, reason(message, fields) AS error
FROM ingest_trades_parsed
WHERE wrong = 1 AND (topic, partition, offset, ingestion_time) NOT IN
(
    SELECT topic, partition, offset, timestamp
    FROM market_rejects
    WHERE (topic, partition, offset) IN (SELECT topic, partition, offset FROM ingest_trades_parsed WHERE wrong = 1)
);

CREATE TABLE IF NOT EXISTS ingest_trades_queue (message String)
ENGINE = Kafka
SETTINGS
    kafka_broker_list = '{l2_kafka}',
    kafka_topic_list = 'iqfeed.trades.raw',
    kafka_group_name = 'l2_ingest.trades',
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
CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_trades_parse TO ingest_trades_parsed AS
WITH
${FUNCTIONS}
    -- Each field of the message format is followed by the column name, as an alternative.
    'Tuple(
        symbol String, timestamp String, trade_price String, price String, trade_size String, size String, total_volume String,
        trade_market_center String, market_center String, exchange String, trade_conditions String, conditions String,
        tick_id String, bid_price String, bid String, ask_price String, ask String, basis String, correction String,
        source String
    )' AS fields,
    time_of(time_text, epoch) AS time,
    is_no_symbol(symbol, message) AS no_symbol,
    is_no_time(time, time_text) AS no_time,
    price_of(price_text) AS price,
    is_no_price(price, price_text) AS no_price,
    size_of(size_text) AS size,
    whole_of(volume_text) AS total_volume,
    whole_of(tick_text) AS tick_id,
    price_of(bid_text) AS bid,
    price_of(ask_text) AS ask,
    is_no_price(bid, bid_text) AS no_bid,
    is_no_price(ask, ask_text) AS no_ask,
    whole_of(center) AS center_number,
    ifNull(center_number > 65535, 1) AS center_is_name
SELECT
    topic,
    partition,
    offset,
    key,
    message,
    -- Addition is faster than OR, which evaluates each condition on a selection of rows.
    no_symbol + no_time + no_price + is_no_size(size) + (total_volume IS NULL)
        + (tick_id IS NULL) + no_bid + no_ask + (correction NOT IN ('none', 'insert', 'delete')) != 0 AS wrong,
    no_symbol,
    no_time,
    no_price,
    no_bid,
    no_ask,
    symbol,
    ifNull(time, toDateTime64(0, 6, 'UTC')) AS timestamp,
    price,
    size,
    -- An array of codes is concatenated, as in IQFeed.
    if(startsWith(codes, '['), arrayStringConcat(JSONExtract(codes, 'Array(String)')), codes) AS conditions,
    sent_at(sent_ms) AS ingestion_time,
    source,
    tick_id,
    -- Partition and offset as digits of one decimal number. Orders rows with equal timestamps as in Kafka.
    partition * 100000000000000 + offset AS sequence,
    if(center_is_name, 0, center_number) AS market_center,
    if(center_is_name, center, '') AS exchange,
    bid,
    ask,
    total_volume,
    basis,
    correction
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
        if(json.trade_price = '', json.price, json.trade_price) AS price_text,
        if(json.trade_size = '', json.size, json.trade_size) AS size_text,
        json.total_volume AS volume_text,
        multiIf(json.trade_market_center != '', json.trade_market_center, json.market_center != '', json.market_center, json.exchange) AS center,
        if(json.trade_conditions = '', json.conditions, json.trade_conditions) AS codes,
        json.tick_id AS tick_text,
        multiIf(json.bid_price != '', json.bid_price, json.bid != '', json.bid, '0') AS bid_text,
        multiIf(json.ask_price != '', json.ask_price, json.ask != '', json.ask, '0') AS ask_text,
        json.basis AS basis,
        if(json.correction = '', 'none', lower(json.correction)) AS correction,
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
            FROM ingest_trades_queue
        )
    )
)
-- Stops consumption if a view below the parsed table is missing, because its messages would be lost.
WHERE throwIf((
    SELECT count() = 0
    FROM system.tables
    WHERE database = '${CLICKHOUSE_DATABASE}' AND name = 'ingest_trades_parsed' AND hasAll(dependencies_table, ['ingest_trades_store', 'ingest_trades_reject'])
), 'ingest_trades_store or ingest_trades_reject is missing, run: ./scripts/ingest.mts on') = 0
    -- Tables created before sizes could be fractional would truncate them.
    AND throwIf((
        SELECT count() < 1
        FROM system.columns
        WHERE database = '${CLICKHOUSE_DATABASE}' AND table IN ('market_ticks') AND name IN ('size') AND position(type, 'Float64') > 0
    ), 'sizes in market_ticks are integers only, run: ./scripts/apply-schema.mts --rebuild market_ticks') = 0;
