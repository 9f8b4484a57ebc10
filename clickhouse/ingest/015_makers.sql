-- Handles a market maker's two-sided quote in one message ("l2_operation": "market_maker_update") of any topic: stores it as two events in
-- market_l2, never as a quote in market_l1. Producers that route messages with a bid_price send it to the quotes topic.

-- The messages that the other files identify as such. Stores no rows.
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

-- One row per side. Stores no rows.
CREATE TABLE IF NOT EXISTS ingest_makers_parsed
(
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64,
    key String,
    message String,
    -- The error of the message; '' for a valid one.
    error String,
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

-- As for trades.
CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_makers_store TO market_l2 AS
SELECT symbol, timestamp, side, price, size, operation, market_maker, tick_id, sequence, ingestion_time, source
FROM ingest_makers_parsed
WHERE error = '' AND (symbol, timestamp, sequence, ingestion_time) NOT IN
(
    SELECT symbol, timestamp, sequence, ingestion_time
    FROM market_l2
    WHERE ingestion_time >= (SELECT min(ingestion_time) FROM ingest_makers_parsed)
        AND timestamp >= (SELECT min(timestamp) FROM ingest_makers_parsed WHERE error = '')
        AND timestamp <= (SELECT max(timestamp) FROM ingest_makers_parsed WHERE error = '')
        AND sequence IN (SELECT sequence FROM ingest_makers_parsed WHERE error = '')
)
SETTINGS use_index_for_in_with_subqueries = 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_makers_stale TO market_rollup_state AS
SELECT DISTINCT 'book' AS rollup, toStartOfFiveMinutes(timestamp) AS bucket, nowInBlock64(6, 'UTC') AS inserted_at
FROM ingest_makers_parsed
WHERE error = '';

CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_makers_reject TO market_rejects AS
SELECT topic, partition, offset, ingestion_time AS timestamp, key, message, error
FROM ingest_makers_parsed
WHERE error != '' AND side = 'bid' AND (topic, partition, offset, ingestion_time) NOT IN
(
    SELECT topic, partition, offset, timestamp
    FROM market_rejects
    WHERE (topic, partition, offset) IN (SELECT topic, partition, offset FROM ingest_makers_parsed WHERE error != '')
);

CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_makers_parse TO ingest_makers_parsed AS
WITH
${FUNCTIONS}
    'Tuple(
        symbol String, timestamp String, market_maker String, bid_price String, bid String, bid_size String, ask_price String,
        ask String, ask_size String, tick_id String, source String
    )' AS fields,
    time_of(json.timestamp, toFloat64OrZero(json.timestamp)) AS time,
    multiIf(json.bid_price != '', json.bid_price, json.bid != '', json.bid, '0') AS bid_text,
    multiIf(json.ask_price != '', json.ask_price, json.ask != '', json.ask, '0') AS ask_text,
    price_of(bid_text) AS bid,
    price_of(ask_text) AS ask,
    size_of(if(json.bid_size = '', '0', json.bid_size)) AS bid_size,
    size_of(if(json.ask_size = '', '0', json.ask_size)) AS ask_size,
    whole_of(json.tick_id) AS tick,
    arrayJoin(['bid', 'ask']) AS side,
    ifNull(if(side = 'bid', bid, ask), 0) AS shown_price,
    ifNull(if(side = 'bid', bid_size, ask_size), 0) AS shown_size,
    -- A price or size of 0 means that the side is not quoted: the market maker's entry is deleted.
    shown_price = 0 OR shown_size = 0 AS gone,
    [
        if(is_no_symbol(json.symbol, message), 'symbol', ''),
        if(is_no_time(time, json.timestamp), 'timestamp', ''),
        if(json.market_maker = '', 'market_maker', ''),
        if(is_no_price(bid, bid_text), 'bid_price', ''),
        if(is_no_size(bid_size), 'bid_size', ''),
        if(is_no_price(ask, ask_text), 'ask_price', ''),
        if(is_no_size(ask_size), 'ask_size', ''),
        if(tick IS NULL, 'tick_id', '')
    ] AS wrong
SELECT
    topic,
    partition,
    offset,
    key,
    message,
    if(arrayExists(field -> field != '', wrong), reason(message, wrong), '') AS error,
    json.symbol AS symbol,
    ifNull(time, toDateTime64(0, 6, 'UTC')) AS timestamp,
    side,
    if(gone, 0, shown_price) AS price,
    if(gone, 0, shown_size) AS size,
    if(gone, 'delete', 'update') AS operation,
    json.market_maker AS market_maker,
    ifNull(tick, 0) AS tick_id,
    -- As in the other files, with an offset that separates the quotes topic from the order book topic.
    partition * 100000000000000 + (topic = 'iqfeed.quotes.raw') * 50000000000000 + offset AS sequence,
    ingestion_time,
    json.source AS source
FROM (SELECT *, JSONExtract(if(isValidJSON(message), message, quoted(message)), fields) AS json FROM ingest_makers)
WHERE 1;
