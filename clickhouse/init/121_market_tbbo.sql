-- Valid trades, each with the top of book at that time: the last quote of its symbol at or before the trade, as in Databento's TBBO. A
-- quote with the same timestamp counts as before the trade; of several, the last in the feed counts. The quote columns are NULL for trades
-- before the first quote. The join holds the quotes of the symbol from `since` to `until` in memory.
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
    -- In basis points of the absolute value of mid; negative if the quote is crossed, NULL if mid is 0.
    toDecimal128(spread, 9) * 10000 / nullIf(abs(mid), 0) AS spread_bps,
    -- The side that crossed the spread, by the quote rule: a buyer above mid, a seller below it; unknown at mid or without a mid. Lee and
    -- Ready, Inferring Trade Direction from Intraday Data, Journal of Finance 46 (1991), 733-746, also use the preceding trades.
    multiIf(price > mid, 'buy', price < mid, 'sell', 'unknown') AS aggressor
FROM
(
    -- As market_trades, but the subquery for `delete` corrections is also limited to the symbol and the time range.
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
    -- Starts at the quote in effect at `since`, found by reading the key backwards. Nullable, so that a trade without a quote has NULL
    -- instead of 0.
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
