/** The two schemas that the shipped one is compared with. */

/** Columns shared by both schemas. */
const TICKS = `tick_id UInt64, market_center UInt16, total_volume UInt64, basis String`
const L2 = `market_maker String, order_id UInt64, order_count UInt32, sequence UInt64`

/** A straightforward design: the shipped columns with plain types, ordered by time. */
export const NAIVE = [
  `CREATE TABLE market_ticks (symbol String, timestamp DateTime64(6, 'UTC'), price Float64, size UInt32, conditions String, ingestion_time DateTime64(6, 'UTC'), source String, ${TICKS}, sequence UInt64, bid Float64, ask Float64, correction String) ENGINE = MergeTree ORDER BY timestamp`,
  `CREATE TABLE market_l1 (symbol String, timestamp DateTime64(6, 'UTC'), bid Float64, ask Float64, bid_size UInt32, ask_size UInt32, ingestion_time DateTime64(6, 'UTC'), source String, tick_id UInt64, sequence UInt64, bid_market_center UInt16, ask_market_center UInt16) ENGINE = MergeTree ORDER BY timestamp`,
  `CREATE TABLE market_l2 (symbol String, timestamp DateTime64(6, 'UTC'), side String, price Float64, size UInt32, operation String, ingestion_time DateTime64(6, 'UTC'), source String, ${L2}, level UInt16, tick_id UInt64) ENGINE = MergeTree ORDER BY timestamp`,
]

const layout = (order: string) =>
  `INDEX idx_timestamp timestamp TYPE minmax GRANULARITY 1, INDEX idx_symbol symbol TYPE bloom_filter(0.01) GRANULARITY 1) ENGINE = MergeTree PARTITION BY (toDate(timestamp), intHash32(cityHash64(symbol)) % 20) ORDER BY (${order})`

/** The schema of existing installations: exact types without codecs, partitioned by day and 20 symbol buckets. */
export const TODAY = [
  `CREATE TABLE market_ticks (symbol String, timestamp DateTime64(6), price Decimal64(8), size UInt32, conditions String, ingestion_time DateTime64(6) DEFAULT now64(6), source String, ${TICKS}, ${layout('symbol, timestamp, tick_id')}`,
  `CREATE TABLE market_l1 (symbol String, timestamp DateTime64(6), bid Decimal64(8), ask Decimal64(8), bid_size UInt32, ask_size UInt32, ingestion_time DateTime64(6) DEFAULT now64(6), source String, tick_id UInt64, sequence UInt64, bid_market_center UInt16, ask_market_center UInt16, ${layout('symbol, timestamp, tick_id')}`,
  `CREATE TABLE market_l2 (symbol String, timestamp DateTime64(6), side String, price Decimal64(8), size UInt32, operation String, ingestion_time DateTime64(6) DEFAULT now64(6), source String, tick_id UInt64, ${L2}, ${layout('symbol, timestamp, tick_id')}`,
]
