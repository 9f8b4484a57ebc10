-- What a market order would have paid at a moment: `side` 'buy' takes the asks of market_book from the lowest up, 'sell' the bids from the highest
-- down, until `size` is filled. One row whatever the book: one too thin fills in part (`filled` below `size`), one without that side nothing.
-- Nothing hidden is counted, nobody else takes or cancels meanwhile, and no fee is added.
CREATE VIEW IF NOT EXISTS market_order_cost AS
SELECT
    {size:Decimal(18, 8)} AS size,
    toFloat64(sum(taken)) AS filled,
    countIf(taken > 0) AS levels,
    -- Sum of price x size that was filled, as exact as in market_bars.
    CAST(sum(toDecimal128(price, 8) * taken) AS Decimal(38, 8)) AS notional,
    notional / nullIf(sum(taken), 0) AS average_price,
    -- Of the last level that it reached.
    if(levels = 0, NULL, if({side:Enum8('buy' = 0, 'sell' = 1)} = 'buy', maxIf(price, taken > 0), minIf(price, taken > 0))) AS worst_price,
    -- As market_l1's: NULL while a side is empty.
    if(countIf(side = 'bid' AND level = 0) = 1 AND countIf(side = 'ask' AND level = 0) = 1, sumIf(toDecimal128(price, 9), level = 0) / 2, NULL) AS mid,
    -- Basis points of mid that the average is worse than mid: above mid for a buyer, below it for a seller. As market_tbbo's spread_bps.
    if({side:Enum8('buy' = 0, 'sell' = 1)} = 'buy', 1, -1) * (toDecimal128(average_price, 9) - mid) * 10000 / nullIf(abs(mid), 0) AS slippage_bps
FROM
(
    SELECT
        side,
        level,
        price,
        toDecimal128(toString(market_book.size), 8) AS shares,
        if
        (
            side = if({side:Enum8('buy' = 0, 'sell' = 1)} = 'buy', 'ask', 'bid'),
            least(shares, greatest({size:Decimal(18, 8)} - (sum(shares) OVER (PARTITION BY side ORDER BY level) - shares), 0)),
            0
        ) AS taken
    FROM market_book(symbol = {symbol:String}, since = {since:DateTime64(6, 'UTC')}, at = {at:DateTime64(6, 'UTC')}) AS market_book
)
