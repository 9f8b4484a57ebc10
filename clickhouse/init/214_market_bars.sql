-- One-minute bars (open, high, low, close, volume, VWAP, trades), always exact: from the roll-up for fresh buckets, from the trades for
-- stale ones. Every trade counts once, and corrections are applied. Deliberately flat: planning a view inside a view costs more than
-- reading either table.
CREATE VIEW IF NOT EXISTS market_bars AS
-- Equal scalar subqueries are evaluated once, before the union reads, so both halves use the same buckets.
WITH (SELECT groupArray(bucket) FROM market_rollup_state FINAL WHERE rollup = 'bars' AND computed_at <= inserted_at + INTERVAL 10 SECOND) AS stale
SELECT symbol, minute, open, high, low, close, volume, notional, notional / nullIf(toDecimal128(toString(volume), 8), 0) AS vwap, trades
FROM market_bars_1m FINAL
WHERE trades > 0 AND toStartOfFiveMinutes(minute) NOT IN arraySort(stale)
UNION ALL
WITH (SELECT groupArray(bucket) FROM market_rollup_state FINAL WHERE rollup = 'bars' AND computed_at <= inserted_at + INTERVAL 10 SECOND) AS stale
SELECT
    symbol,
    toStartOfMinute(timestamp) AS minute,
    argMin(price, position) AS open,
    max(price) AS high,
    min(price) AS low,
    argMax(price, position) AS close,
    -- Decimals make the sum exact. The text of a Float64 is its shortest exact decimal form.
    toFloat64(sum(toDecimal128(toString(size), 8) AS exact_size)) AS volume,
    CAST(sum(toDecimal128(price, 8) * exact_size) AS Decimal(38, 8)) AS notional,
    notional / nullIf(sum(exact_size), 0) AS vwap,
    toUInt32(count()) AS trades
FROM market_ticks FINAL
WHERE toStartOfFiveMinutes(timestamp) IN arraySort(stale)
    AND correction != 'delete'
    AND (symbol, timestamp, tick_id, price, size, conditions) NOT IN
    (
        SELECT symbol, timestamp, tick_id, price, size, conditions FROM market_ticks WHERE correction = 'delete' AND tick_id != 0
    )
GROUP BY symbol, minute
