-- Moves iqfeed.quotes.raw to market_l1. A side without price and size is not quoted.

-- Parsed messages and their errors. Stores no rows: inserted rows go to the views below.
CREATE TABLE IF NOT EXISTS ingest_quotes_parsed
(
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64,
    key String,
    message String,
    -- As in the order book: 1 for an invalid message, 2 for a market maker's quote.
    wrong UInt8,
    no_symbol UInt8,
    no_time UInt8,
    no_bid_price UInt8,
    no_ask_price UInt8,
    symbol String,
    timestamp DateTime64(6, 'UTC'),
    bid Nullable(Decimal(18, 8)),
    ask Nullable(Decimal(18, 8)),
    bid_size Nullable(Float64),
    ask_size Nullable(Float64),
    ingestion_time DateTime64(3, 'UTC'),
    source LowCardinality(String),
    tick_id Nullable(UInt64),
    sequence UInt64,
    bid_market_center UInt16,
    ask_market_center UInt16,
    bid_exchange LowCardinality(String),
    ask_exchange LowCardinality(String)
)
ENGINE = Null;

-- As for trades.
CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_quotes_store TO market_l1 AS
SELECT
    symbol, timestamp, bid, ask, bid_size, ask_size, ingestion_time, source, tick_id, sequence, bid_market_center,
    ask_market_center, bid_exchange, ask_exchange
FROM ingest_quotes_parsed
WHERE wrong = 0 AND (symbol, timestamp, sequence, ingestion_time) NOT IN
(
    SELECT symbol, timestamp, sequence, ingestion_time
    FROM market_l1
    WHERE ingestion_time >= (SELECT min(ingestion_time) FROM ingest_quotes_parsed)
        AND timestamp >= (SELECT min(timestamp) FROM ingest_quotes_parsed WHERE wrong = 0)
        AND timestamp <= (SELECT max(timestamp) FROM ingest_quotes_parsed WHERE wrong = 0)
        AND sequence IN (SELECT sequence FROM ingest_quotes_parsed WHERE wrong = 0)
)
SETTINGS use_index_for_in_with_subqueries = 0;

-- Updates the latest quotes even for skipped rows, because the crash may have happened before they were stored.
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
    argMax(ingest_quotes_parsed.bid_exchange, place) AS bid_exchange,
    argMax(ingest_quotes_parsed.ask_exchange, place) AS ask_exchange,
    argMax(ingest_quotes_parsed.sequence, place) AS sequence,
    max(place) AS position
FROM ingest_quotes_parsed
WHERE wrong = 0
GROUP BY symbol;

CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_quotes_reject TO market_rejects AS
WITH
${FUNCTIONS}
    [
        if(no_symbol, 'symbol', ''),
        if(no_time, 'timestamp', ''),
        if(no_bid_price, 'bid_price', ''),
        if(is_no_size(bid_size), 'bid_size', ''),
        if(no_ask_price, 'ask_price', ''),
        if(is_no_size(ask_size), 'ask_size', ''),
        if(tick_id IS NULL, 'tick_id', '')
    ] AS fields
SELECT topic, partition, offset, ingestion_time AS timestamp, key, message, reason(message, fields) AS error
FROM ingest_quotes_parsed
WHERE wrong = 1 AND (topic, partition, offset, ingestion_time) NOT IN
(
    SELECT topic, partition, offset, timestamp
    FROM market_rejects
    WHERE (topic, partition, offset) IN (SELECT topic, partition, offset FROM ingest_quotes_parsed WHERE wrong = 1)
);

CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_quotes_makers TO ingest_makers AS
SELECT topic, partition, offset, key, message, ingestion_time
FROM ingest_quotes_parsed
WHERE wrong = 2;

CREATE TABLE IF NOT EXISTS ingest_quotes_queue (message String)
ENGINE = Kafka
SETTINGS
    kafka_broker_list = '{l2_kafka}',
    kafka_topic_list = 'iqfeed.quotes.raw',
    kafka_group_name = 'l2_ingest.quotes',
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
CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_quotes_parse TO ingest_quotes_parsed AS
WITH
${FUNCTIONS}
    -- As for trades.
    'Tuple(
        symbol String, timestamp String, bid_price String, bid String, bid_size String, ask_price String, ask String,
        ask_size String, bid_market_center String, bid_exchange String, ask_market_center String, ask_exchange String,
        tick_id String, l2_operation String, source String
    )' AS fields,
    time_of(time_text, epoch) AS time,
    is_no_symbol(symbol, message) AS no_symbol,
    is_no_time(time, time_text) AS no_time,
    bid_text = '' AND bid_size_text = '' AS no_bid,
    ask_text = '' AND ask_size_text = '' AS no_ask,
    price_of(if(no_bid, '0', bid_text)) AS bid,
    price_of(if(no_ask, '0', ask_text)) AS ask,
    (no_bid AND no_ask) OR is_no_price(bid, if(no_bid, '0', bid_text)) AS no_bid_price,
    (no_bid AND no_ask) OR is_no_price(ask, if(no_ask, '0', ask_text)) AS no_ask_price,
    size_of(if(no_bid, '0', bid_size_text)) AS bid_size,
    size_of(if(no_ask, '0', ask_size_text)) AS ask_size,
    whole_of(tick_text) AS tick_id,
    whole_of(bid_center) AS bid_center_number,
    whole_of(ask_center) AS ask_center_number,
    ifNull(bid_center_number > 65535, 1) AS bid_center_is_name,
    ifNull(ask_center_number > 65535, 1) AS ask_center_is_name,
    no_symbol + no_time + no_bid_price + is_no_size(bid_size) + no_ask_price + is_no_size(ask_size) + (tick_id IS NULL) != 0 AS bad
SELECT
    topic,
    partition,
    offset,
    key,
    message,
    -- A market maker's quote is not the best bid and ask of the market.
    if(lower(l2_operation) = 'market_maker_update', 2, bad) AS wrong,
    no_symbol,
    no_time,
    no_bid_price,
    no_ask_price,
    symbol,
    ifNull(time, toDateTime64(0, 6, 'UTC')) AS timestamp,
    bid,
    ask,
    bid_size,
    ask_size,
    sent_at(sent_ms) AS ingestion_time,
    source,
    tick_id,
    -- Partition and offset as digits of one decimal number. Orders rows with equal timestamps as in Kafka.
    partition * 100000000000000 + offset AS sequence,
    if(bid_center_is_name, 0, bid_center_number) AS bid_market_center,
    if(ask_center_is_name, 0, ask_center_number) AS ask_market_center,
    if(bid_center_is_name, bid_center, '') AS bid_exchange,
    if(ask_center_is_name, ask_center, '') AS ask_exchange
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
        if(json.bid_price = '', json.bid, json.bid_price) AS bid_text,
        json.bid_size AS bid_size_text,
        if(json.ask_price = '', json.ask, json.ask_price) AS ask_text,
        json.ask_size AS ask_size_text,
        if(json.bid_market_center = '', json.bid_exchange, json.bid_market_center) AS bid_center,
        if(json.ask_market_center = '', json.ask_exchange, json.ask_market_center) AS ask_center,
        json.tick_id AS tick_text,
        json.l2_operation AS l2_operation,
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
            FROM ingest_quotes_queue
        )
    )
)
-- Stops consumption if a view below the parsed table is missing, because its messages would be lost.
WHERE throwIf((
    SELECT count() = 0
    FROM system.tables
    WHERE database = '${CLICKHOUSE_DATABASE}' AND name = 'ingest_quotes_parsed' AND hasAll(dependencies_table, ['ingest_quotes_store', 'ingest_quotes_reject', 'ingest_quotes_makers'])
), 'ingest_quotes_store, ingest_quotes_reject or ingest_quotes_makers is missing, run: ./scripts/ingest.mts on') = 0
    -- Tables created before sizes could be fractional would truncate them.
    AND throwIf((
        SELECT count() < 2
        FROM system.columns
        WHERE database = '${CLICKHOUSE_DATABASE}' AND table IN ('market_l1', 'market_l2') AND name IN ('bid_size', 'size') AND position(type, 'Float64') > 0
    ), 'sizes in market_l1 or market_l2 are integers only, run: ./scripts/apply-schema.mts --rebuild market_l1 market_l2') = 0;
