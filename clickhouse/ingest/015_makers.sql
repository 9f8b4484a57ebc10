-- A market maker's quote of both sides in one message ("l2_operation": "market_maker_update"), whichever topic it comes in: two events of
-- market_l2, never a quote of market_l1. Producers that route by the presence of bid_price send it as a quote.

-- The messages that the other files found to be one. Holds no rows.
CREATE TABLE IF NOT EXISTS ingest_makers
(
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64,
    key String,
    message String,
    ingestion_time DateTime64(3, 'UTC')
)
ENGINE = Null;

-- One row a side. Holds no rows.
CREATE TABLE IF NOT EXISTS ingest_makers_parsed
(
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64,
    key String,
    message String,
    wrong UInt16,
    symbol String,
    timestamp DateTime64(6, 'UTC'),
    side LowCardinality(String),
    price Decimal(18, 8),
    size Float64,
    operation LowCardinality(String),
    market_maker LowCardinality(String),
    tick_id UInt64,
    sequence UInt64,
    ingestion_time DateTime64(3, 'UTC'),
    source LowCardinality(String)
)
ENGINE = Null;

-- As for the trades.
CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_makers_store TO market_l2 AS
SELECT symbol, timestamp, side, price, size, operation, market_maker, tick_id, sequence, ingestion_time, source
FROM ingest_makers_parsed
WHERE wrong = 0 AND (symbol, timestamp, sequence, ingestion_time) NOT IN
(
    SELECT symbol, timestamp, sequence, ingestion_time
    FROM market_l2
    WHERE ingestion_time >= (SELECT min(ingestion_time) FROM ingest_makers_parsed)
        AND timestamp >= (SELECT min(timestamp) FROM ingest_makers_parsed WHERE wrong = 0)
        AND timestamp <= (SELECT max(timestamp) FROM ingest_makers_parsed WHERE wrong = 0)
        AND sequence IN (SELECT sequence FROM ingest_makers_parsed WHERE wrong = 0)
)
SETTINGS use_index_for_in_with_subqueries = 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_makers_stale TO market_rollup_state AS
SELECT DISTINCT 'book' AS rollup, toStartOfFiveMinutes(timestamp) AS bucket, nowInBlock64(6, 'UTC') AS inserted_at
FROM ingest_makers_parsed
WHERE wrong = 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_makers_reject TO market_rejects AS
WITH
${FUNCTIONS}
    ['symbol', 'timestamp', 'market_maker', 'bid_price', 'bid_size', 'ask_price', 'ask_size', 'tick_id'] AS fields
SELECT topic, partition, offset, ingestion_time AS timestamp, key, message, reason(message, fields, wrong) AS error
FROM ingest_makers_parsed
WHERE wrong != 0 AND side = 'bid' AND (topic, partition, offset, ingestion_time) NOT IN
(
    SELECT topic, partition, offset, timestamp
    FROM market_rejects
    WHERE (topic, partition, offset) IN (SELECT topic, partition, offset FROM ingest_makers_parsed WHERE wrong != 0)
);

CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_makers_parse TO ingest_makers_parsed AS
WITH
${FUNCTIONS}
    'Tuple(
        symbol String, timestamp String, market_maker String, bid_price String, bid String, bid_size String, ask_price String, ask String,
        ask_size String, tick_id String, source String
    )' AS fields,
    JSONExtract(message, fields) AS read,
    if(read.symbol = '', JSONExtract(quoted(if(read.symbol = '', message, '')), fields), read) AS json,
    time_of(json.timestamp) AS time,
    price_of(either(either(json.bid_price, json.bid), '0')) AS bid,
    price_of(either(either(json.ask_price, json.ask), '0')) AS ask,
    size_of(either(json.bid_size, '0')) AS bid_size,
    size_of(either(json.ask_size, '0')) AS ask_size,
    whole_of(json.tick_id) AS tick,
    arrayJoin(['bid', 'ask']) AS side,
    ifNull(if(side = 'bid', bid, ask), 0) AS shown_price,
    ifNull(if(side = 'bid', bid_size, ask_size), 0) AS shown_size,
    -- Nobody quotes a side whose price or size is 0: what the market maker had there goes.
    shown_price = 0 OR shown_size = 0 AS gone
SELECT
    topic,
    partition,
    offset,
    key,
    message,
    is_no_symbol(json.symbol, message) + 2 * is_no_time(time) + 4 * (json.market_maker = '') + 8 * (bid IS NULL) + 16 * is_no_size(bid_size)
        + 32 * (ask IS NULL) + 64 * is_no_size(ask_size) + 128 * (tick IS NULL) AS wrong,
    json.symbol AS symbol,
    ifNull(time, toDateTime64(0, 6, 'UTC')) AS timestamp,
    side,
    if(gone, 0, shown_price) AS price,
    if(gone, 0, shown_size) AS size,
    if(gone, 'delete', 'update') AS operation,
    json.market_maker AS market_maker,
    ifNull(tick, 0) AS tick_id,
    -- As in the other files; the quotes' places are apart from those of the order book.
    partition * 100000000000000 + (topic = 'iqfeed.quotes.raw') * 50000000000000 + offset AS sequence,
    ingestion_time,
    json.source AS source
FROM ingest_makers AS quotes;
