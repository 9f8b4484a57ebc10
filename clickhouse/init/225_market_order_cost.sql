-- The cost of a hypothetical market order at a moment: `side` 'buy' takes the asks of market_book from the lowest up, 'sell' takes the bids
-- from the highest down, until `size` is filled. Always returns one row: a thin book fills the order in part (`filled` below `size`), an empty
-- side not at all. Ignores hidden liquidity, concurrent orders and fees.
CREATE VIEW IF NOT EXISTS market_order_cost AS
SELECT
    {size:Decimal(18, 8)} AS size,
    toFloat64(sum(taken)) AS filled,
    countIf(taken > 0) AS levels,
    -- Sum of price x filled size, as exact as in market_bars.
    CAST(sum(toDecimal128(price, 8) * taken) AS Decimal(38, 8)) AS notional,
    notional / nullIf(sum(taken), 0) AS average_price,
    -- The price of the last level reached.
    if(levels = 0, NULL, if({side:Enum8('buy' = 0, 'sell' = 1)} = 'buy', maxIf(price, taken > 0), minIf(price, taken > 0))) AS worst_price,
    -- As in market_l1: NULL if a side is empty.
    if(countIf(side = 'bid' AND level = 0) = 1 AND countIf(side = 'ask' AND level = 0) = 1, sumIf(toDecimal128(price, 9), level = 0) / 2, NULL) AS mid,
    -- How much worse than mid the average price is, in basis points of mid, as in market_tbbo.spread_bps.
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
