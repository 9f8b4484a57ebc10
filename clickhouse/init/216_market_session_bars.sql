-- Bars of any length from 1 second to a day, in the sessions of US exchanges: days are New York's, and bars are counted from 09:30 there,
-- forward and back, so that bars of an hour begin at 08:30, 09:30, 10:30; the first of a day begins at midnight, however short that makes
-- it. A bar lasts its seconds on the clock that never jumps: a day has 23 or 25 hours where New York changes to or from summer time, and
-- no bar mixes the hour that comes twice. A bar of 86,400 is the day from midnight to midnight. `hours`: 'all', or 'regular' for trades from
-- 09:30 to before 16:00 alone; holidays and early closes are not known here. As in market_interval_bars, which it adds up by
-- minute or else by second, all bars that begin from `since` to before `until`, each whole.
CREATE VIEW IF NOT EXISTS market_session_bars AS
SELECT
    -- New York's date, and where the bar begins, in UTC.
    toDate(midnight) AS day,
    toDateTime(if({seconds:UInt32} = 86400, midnight, greatest(midnight, piece - positiveModulo(elapsed, {seconds:UInt32}))), 'UTC') AS time,
    argMin(first, piece) AS open,
    max(highest) AS high,
    min(lowest) AS low,
    argMax(last, piece) AS close,
    toFloat64(sum(toDecimal128(toString(shares), 8) AS exact_shares)) AS volume,
    sum(paid) AS notional,
    notional / nullIf(sum(exact_shares), 0) AS vwap,
    sum(count) AS trades
FROM
(
    SELECT
        toDateTime(time, 'America/New_York') AS piece,
        toStartOfDay(piece) AS midnight,
        -- 09:30 is 34,200 seconds after midnight, less or more what the clock jumped since.
        midnight + 34200 + timezoneOffset(midnight) - timezoneOffset(midnight + 34200) AS opening,
        toInt64(toUnixTimestamp(piece)) - toInt64(toUnixTimestamp(opening)) AS elapsed,
        open AS first,
        high AS highest,
        low AS lowest,
        close AS last,
        volume AS shares,
        notional AS paid,
        trades AS count
    FROM market_interval_bars(
        symbol = {symbol:String},
        since = {since:DateTime64(6, 'UTC')},
        -- The longest day has an hour more.
        until = {until:DateTime64(6, 'UTC')} + toIntervalSecond({seconds:UInt32} + 3600),
        seconds = if({seconds:UInt32} % 60 = 0, 60, 1))
    WHERE {hours:Enum8('all' = 0, 'regular' = 1)} = 'all' OR (elapsed >= 0 AND elapsed < 23400)
)
GROUP BY day, time
HAVING time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
