-- Trades that hold, each beside the top of book that it met: the last quote of its symbol at or before it, as in Databento's TBBO. A trade
-- and a quote of one microsecond meet; of several quotes of one microsecond the last in the feed counts. Trades before the first quote
-- have NULL beside them. What lies in memory is the quotes of the symbol from `since` to `until`.
CREATE VIEW IF NOT EXISTS market_tbbo AS
SELECT
    timestamp,
    price,
    size,
    conditions,
    tick_id,
    sequence,
    market_center,
    exchange,
    correction,
    quoted_at,
    quote.bid AS bid,
    quote.ask AS ask,
    bid_size,
    ask_size,
    spread,
    mid,
    -- Basis points of mid, below 0 where the quote is crossed. Prices at and below 0 are prices: of its amount, and NULL where it is 0.
    toDecimal128(spread, 9) * 10000 / nullIf(abs(mid), 0) AS spread_bps,
    -- Who crossed the spread, by the quote rule: above mid a buyer, below it a seller. Unknown at mid, and without a mid.
    -- Lee and Ready, Inferring Trade Direction from Intraday Data, Journal of Finance 46 (1991), 733-746, go on to the trades before.
    multiIf(price > mid, 'buy', price < mid, 'sell', 'unknown') AS aggressor
FROM
(
    -- As market_trades, but its deletes are the symbol's and the time's too.
    SELECT
        *,
        bitOr(bitShiftLeft(toUInt128(toUnixTimestamp64Micro(timestamp)), 64), toUInt128(18446744073709551615)) AS until_position,
        1 AS one
    FROM market_ticks FINAL
    WHERE symbol = {symbol:String}
        AND timestamp >= {since:DateTime64(6, 'UTC')}
        AND timestamp < {until:DateTime64(6, 'UTC')}
        AND correction != 'delete'
        AND (timestamp, tick_id, price, size, conditions) NOT IN
        (
            SELECT timestamp, tick_id, price, size, conditions
            FROM market_ticks
            WHERE symbol = {symbol:String}
                AND timestamp >= {since:DateTime64(6, 'UTC')}
                AND timestamp < {until:DateTime64(6, 'UTC')}
                AND correction = 'delete'
                AND tick_id != 0
        )
) AS trade
ASOF LEFT JOIN
(
    -- From the quote in force at `since` on, found from the end of the key. Nullable, so that a trade without a quote shows NULL and no
    -- price of 0.
    SELECT
        position,
        1 AS one,
        toNullable(timestamp) AS quoted_at,
        toNullable(bid) AS bid,
        toNullable(ask) AS ask,
        toNullable(bid_size) AS bid_size,
        toNullable(ask_size) AS ask_size,
        spread,
        mid
    FROM market_l1 FINAL
    WHERE symbol = {symbol:String}
        AND timestamp >= ifNull
        (
            (
                SELECT timestamp
                FROM market_l1
                WHERE symbol = {symbol:String} AND timestamp < {since:DateTime64(6, 'UTC')}
                ORDER BY timestamp DESC
                LIMIT 1
            ),
            {since:DateTime64(6, 'UTC')}
        )
        AND timestamp < {until:DateTime64(6, 'UTC')}
) AS quote
ON trade.one = quote.one AND trade.until_position >= quote.position
