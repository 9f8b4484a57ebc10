/** Generates synthetic market data: consistent books, quotes and trades. */
import { TOPICS } from './fields.mts'
import type { Message } from './message.mts'

export interface MarketOptions {
  symbols: number
  /** Messages per second of market time, over all symbols and kinds. */
  rate: number
  /** Time of the first message, in milliseconds since 1970. */
  startMs: number
  /** Equal seeds generate equal markets. */
  seed: number
}

/** Marks the messages, and thereby the rows, as synthetic. */
const SOURCE = 'generated'

const MAKERS = ['NSDQ', 'ARCA', 'BATS', 'EDGX', 'MEMX', 'IEXG', 'GSCO', 'MSCO', 'CDRG', 'UBSS']
/** IQFeed's numbers of market centers. */
const CENTERS = [5, 7, 11, 18, 19, 25, 26]
/** Price step in hundredths of a cent. Prices are integers in this unit, so that arithmetic is exact. */
const TICK = 100

interface Quote {
  price: number
  size: number
}

interface Security {
  symbol: string
  /** Fair value, from which makers derive their prices. */
  value: number
  /** Quotes by maker. */
  bids: Map<string, Quote>
  asks: Map<string, Quote>
  /** The best bid and ask as last sent. */
  shown: string
  volume: number
}

/** Mulberry32, a small random number generator. @see https://gist.github.com/tommyettinger/46a874533244883189143505d203312c */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/**
 * Generates an endless sequence of messages in order of time. Books are never crossed, quotes are the best prices of the book, trades are at
 * the quoted prices, and each symbol's tick ids and volume only increase.
 */
export function* generateMarket({ symbols, rate, startMs, seed }: MarketOptions): Generator<Message> {
  const random = randomFrom(seed)
  const pick = <T,>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  const securities = Array.from({ length: symbols }, (_, index): Security => {
    const value = Math.round(100_000 * 10 ** (random() * 1.7))
    return {
      symbol: `SIM${String(index + 1).padStart(4, '0')}`,
      value,
      bids: new Map(),
      asks: new Map(),
      shown: '',
      volume: 0,
    }
  })
  const stepUs = 1e6 / rate
  let count = 0
  const message = (kind: keyof typeof TOPICS, { symbol }: Security, fields: string): Message => {
    const timeUs = Math.round(startMs * 1000 + count++ * stepUs)
    const value = `{"symbol":"${symbol}","timestamp":"${isoOf(timeUs)}",${fields},"tick_id":${count},"source":"${SOURCE}"}`
    return { topic: TOPICS[kind], key: symbol, value, timeUs }
  }

  /** Changes a maker's quote on one side; a size of 0 removes it. */
  function* change(security: Security, side: 0 | 1, maker: string, { price, size }: Quote): Generator<Message> {
    const quotes = side === 1 ? security.bids : security.asks
    const before = quotes.get(maker)
    if (!before && size === 0) return
    if (before?.price === price && before.size === size) return
    const level = levelOf(quotes, side, size === 0 && before ? before.price : price)
    if (size === 0) quotes.delete(maker)
    else quotes.set(maker, { price, size })
    const operation = size === 0 ? 2 : before ? 1 : 0
    const shown = size === 0 && before ? before : { price, size }
    yield message(
      'l2',
      security,
      `"level":${level},"market_maker":"${maker}","operation":${operation},"side":${side},"price":${text(shown.price)},"size":${size === 0 ? 0 : shown.size}`,
    )
    yield* quote(security)
  }

  function* quote(security: Security): Generator<Message> {
    const [bid, ask] = [best(security.bids, 1), best(security.asks, 0)]
    if (!bid || !ask) return
    const shown = `"bid_price":${text(bid.price)},"bid_size":${bid.size},"ask_price":${text(ask.price)},"ask_size":${ask.size}`
    if (shown === security.shown) return
    security.shown = shown
    yield message(
      'quotes',
      security,
      `${shown},"bid_market_center":${pick(CENTERS)},"ask_market_center":${pick(CENTERS)}`,
    )
  }

  /** A maker quotes around the fair value without crossing the other side, or withdraws its quote. */
  function* requote(security: Security): Generator<Message> {
    const side = random() < 0.5 ? 0 : 1
    const maker = pick(MAKERS)
    if (random() < 0.05) {
      yield* change(security, side, maker, { price: 0, size: 0 })
      return
    }
    const distance = TICK * (1 + Math.floor(random() ** 2 * 12))
    const wanted = security.value + (side === 1 ? -distance : distance)
    const other = side === 1 ? best(security.asks, 0) : best(security.bids, 1)
    const bound = other
      ? side === 1
        ? Math.min(wanted, other.price - TICK)
        : Math.max(wanted, other.price + TICK)
      : wanted
    const price = Math.max(TICK, Math.round(bound / TICK) * TICK)
    yield* change(security, side, maker, { price, size: 100 * (1 + Math.floor(random() ** 3 * 30)) })
  }

  /** A trade takes part or all of the best quote of one side. */
  function* trade(security: Security): Generator<Message> {
    const [bid, ask] = [best(security.bids, 1), best(security.asks, 0)]
    if (!bid || !ask) return
    const side = random() < 0.5 ? 0 : 1
    const hit = side === 1 ? bid : ask
    const size = Math.min(
      hit.size,
      random() < 0.3 ? 1 + Math.floor(random() * 99) : 100 * (1 + Math.floor(random() * 5)),
    )
    security.volume += size
    const conditions = size < 100 ? '20002000' : '01'
    yield message(
      'trades',
      security,
      `"trade_price":${text(hit.price)},"trade_size":${size},"total_volume":${security.volume},"trade_market_center":${pick(CENTERS)},"trade_conditions":"${conditions}","bid_price":${text(bid.price)},"ask_price":${text(ask.price)}`,
    )
    yield* change(security, side, hit.maker, { price: hit.price, size: hit.size - size })
  }

  for (;;) {
    const security = pick(securities)
    // Random walk: the value occasionally moves by a tick.
    if (random() < 0.2) security.value = Math.max(50 * TICK, security.value + (random() < 0.5 ? -TICK : TICK))
    yield* random() < 0.12 ? trade(security) : requote(security)
  }
}

/** Returns the best quote of a side: the highest bid (1) or lowest ask (0), and the largest among equal prices. */
function best(quotes: Map<string, Quote>, side: 0 | 1): (Quote & { maker: string }) | undefined {
  let found: (Quote & { maker: string }) | undefined
  for (const [maker, { price, size }] of quotes) {
    const better =
      !found || (side === 1 ? price > found.price : price < found.price) || (price === found.price && size > found.size)
    if (better) found = { maker, price, size }
  }
  return found
}

/** Returns the number of better prices on a side, 0 for the best. */
function levelOf(quotes: Map<string, Quote>, side: 0 | 1, price: number): number {
  const better = new Set<number>()
  for (const quote of quotes.values())
    if (side === 1 ? quote.price > price : quote.price < price) better.add(quote.price)
  return better.size
}

/** 1891234 → "189.1234" */
function text(price: number): string {
  return `${Math.floor(price / 10_000)}.${String(price % 10_000).padStart(4, '0')}`
}

let second = Number.NaN
let secondText = ''

/** 1795428000000001 → "2026-11-23T10:00:00.000001Z" */
function isoOf(timeUs: number): string {
  const whole = Math.floor(timeUs / 1e6)
  if (whole !== second) {
    second = whole
    secondText = new Date(whole * 1000).toISOString().slice(0, 19)
  }
  return `${secondText}.${String(timeUs - whole * 1e6).padStart(6, '0')}Z`
}
