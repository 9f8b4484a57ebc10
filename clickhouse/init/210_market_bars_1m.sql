-- Rolled-up one-minute bars. Read them through market_bars.
CREATE TABLE IF NOT EXISTS market_bars_1m
(
    symbol LowCardinality(String) CODEC(ZSTD(1)),
    minute DateTime('UTC') CODEC(Delta, ZSTD(1)),
    open Decimal(18, 8) CODEC(GCD, ZSTD(1)),
    high Decimal(18, 8) CODEC(GCD, ZSTD(1)),
    low Decimal(18, 8) CODEC(GCD, ZSTD(1)),
    close Decimal(18, 8) CODEC(GCD, ZSTD(1)),
    volume Float64 CODEC(ZSTD(1)),
    -- Sum of price x size, exact to the eighth decimal; divided by volume it is the VWAP.
    notional Decimal(38, 8) CODEC(ZSTD(1)),
    -- 0 if all trades of the minute were cancelled.
    trades UInt32 CODEC(T64, ZSTD(1)),
    computed_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(computed_at)
PARTITION BY toYYYYMM(minute)
ORDER BY (symbol, minute)
