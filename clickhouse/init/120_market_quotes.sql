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
    -- The mid weighted by the size of the other side: it leans to the side with less, which is the next to go. Decimal256, since a price
    -- times a size has 16 decimals and a division needs as many again; cut after the ninth, the last one of mid. Sizes become decimals as
    -- in market_bars; one below the eighth decimal is none.
    CAST((bid * ask_shares + ask * bid_shares) / (bid_shares + ask_shares) AS Nullable(Decimal(38, 9))) AS weighted_mid,
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
        if(bid_size > 0, nullIf(toDecimal256OrNull(toString(bid_size), 8), 0), NULL) AS bid_shares,
        if(ask_size > 0, nullIf(toDecimal256OrNull(toString(ask_size), 8), 0), NULL) AS ask_shares
    FROM market_l1 FINAL
)
