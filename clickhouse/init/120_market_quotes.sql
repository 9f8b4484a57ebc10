-- Quotes, each once, with what their sizes say. Filter by symbol and timestamp: both reach the key of market_l1.
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
    -- From -1, all of the size on the ask, to 1, all of it on the bid. NULL, as the weighted mid, while a side has no size.
    if(bid_size > 0 AND ask_size > 0, (bid_size - ask_size) / (bid_size + ask_size), NULL) AS imbalance,
    -- The mid weighted by the size of the other side: it leans to the side with less, which is the next to go. Cut after the ninth decimal, the
    -- last one of mid. Whole sizes, which nearly all are, take a sixth of the time: a price of 9 decimals times 15 digits fits Decimal128. A
    -- fraction becomes a decimal as in market_bars, one below the eighth decimal none; a price times that has 16 decimals, and a division
    -- needs as many again: Decimal256.
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
        -- Both, or 0.
        bid_size >= 1 AND ask_size >= 1 AND bid_size < 1e15 AND ask_size < 1e15 AND bid_size = floor(bid_size) AND ask_size = floor(ask_size) AS whole,
        toInt64(if(whole, bid_size, 0)) AS bid_whole,
        toInt64(if(whole, ask_size, 0)) AS ask_whole,
        if(NOT whole AND bid_size > 0, nullIf(toDecimal256OrNull(toString(bid_size), 8), 0), NULL) AS bid_shares,
        if(NOT whole AND ask_size > 0, nullIf(toDecimal256OrNull(toString(ask_size), 8), 0), NULL) AS ask_shares
    FROM market_l1 FINAL
)
