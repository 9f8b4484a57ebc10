-- Quotes, each once, with values derived from their sizes. Filters on symbol and timestamp use the primary key of market_l1.
CREATE VIEW IF NOT EXISTS market_quotes AS
SELECT
    symbol,
    timestamp,
    bid,
    ask,
    bid_size,
    ask_size,
    spread,
    mid,
    -- From -1 (all size on the ask) to 1 (all size on the bid). NULL, like weighted_mid, if a side has no size.
    if(bid_size > 0 AND ask_size > 0, (bid_size - ask_size) / (bid_size + ask_size), NULL) AS imbalance,
    -- The mid weighted by the size of the opposite side: it is closer to the side with less size, which is likely to be filled first.
    -- Truncated to nine decimals, the scale of mid. Integer sizes, the usual case, take a sixth of the time: a price with 9 decimals times a size
    -- of 15 digits fits Decimal128. Fractional sizes are converted to decimals as in market_bars, and are ignored below the eighth decimal.
    -- A price times such a size has 16 decimals, and the division needs 16 more: Decimal256.
    if
    (
        bid_whole > 0,
        (toDecimal128(bid, 9) * ask_whole + toDecimal128(ask, 9) * bid_whole) / nullIf(bid_whole + ask_whole, 0),
        CAST((bid * ask_shares + ask * bid_shares) / (bid_shares + ask_shares) AS Nullable(Decimal(38, 9)))
    ) AS weighted_mid,
    ingestion_time,
    source,
    tick_id,
    sequence,
    bid_market_center,
    ask_market_center,
    bid_exchange,
    ask_exchange
FROM
(
    SELECT
        *,
        spread,
        mid,
        -- Whether both sizes are integers; otherwise bid_whole and ask_whole are 0.
        bid_size >= 1 AND ask_size >= 1 AND bid_size < 1e15 AND ask_size < 1e15 AND bid_size = floor(bid_size) AND ask_size = floor(ask_size) AS whole,
        toInt64(if(whole, bid_size, 0)) AS bid_whole,
        toInt64(if(whole, ask_size, 0)) AS ask_whole,
        if(NOT whole AND bid_size > 0, nullIf(toDecimal256OrNull(toString(bid_size), 8), 0), NULL) AS bid_shares,
        if(NOT whole AND ask_size > 0, nullIf(toDecimal256OrNull(toString(ask_size), 8), 0), NULL) AS ask_shares
    FROM market_l1 FINAL
)
