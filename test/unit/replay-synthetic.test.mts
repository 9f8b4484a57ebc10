/** The messages of the generated market. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Pace } from '../../scripts/lib/replay/play.mts'
import { marketStartMs } from '../../scripts/lib/replay/replay.mts'
import { generateMarket } from '../../scripts/lib/replay/synthetic.mts'

const MARKET = { symbols: 5, rate: 1_000, startMs: 1_795_428_000_000, seed: 7 }

function* firstOf<T>(items: Iterable<T>, count: number): Generator<T> {
  let left = count
  for (const item of items) {
    if (left-- <= 0) return
    yield item
  }
}

const market = suite('generated market')

/** Returns the contents of the first `count` messages by topic, in order. */
function marketOf(count: number, options = MARKET) {
  return [...firstOf(generateMarket(options), count)].map(({ topic, value }) => ({ topic, ...JSON.parse(value) }))
}

market('equal seeds give equal data, other seeds other data', () => {
  assert.equal(marketOf(500), marketOf(500))
  assert.not.equal(marketOf(500), marketOf(500, { ...MARKET, seed: 8 }))
})

market('a book rebuilt from its events is never crossed, and quotes and trades match its best prices', () => {
  const books = new Map<string, Map<string, { side: number; price: number; size: number }>>()
  const volumes = new Map<string, number>()
  const best = (symbol: string, side: number) => {
    const prices = [...(books.get(symbol)?.values() ?? [])]
      .filter((each) => each.side === side)
      .map(({ price }) => price)
    return side === 1 ? Math.max(...prices) : Math.min(...prices)
  }
  const seen: Record<string, number> = {}
  for (const each of marketOf(20_000)) {
    const { topic, symbol } = each
    seen[topic] = (seen[topic] ?? 0) + 1
    if (topic === 'iqfeed.l2.raw') {
      const book = books.get(symbol) ?? new Map()
      books.set(symbol, book)
      const entry = `${each.side} ${each.market_maker}`
      assert.is(book.has(entry), each.operation !== 0, 'an insert is new, an update or delete is not')
      if (each.operation === 2) book.delete(entry)
      else book.set(entry, each)
      assert.ok(best(symbol, 1) < best(symbol, 0))
    } else if (topic === 'iqfeed.quotes.raw') {
      assert.equal([each.bid_price, each.ask_price], [best(symbol, 1), best(symbol, 0)])
    } else {
      assert.ok(each.trade_price === best(symbol, 1) || each.trade_price === best(symbol, 0))
      assert.is(each.total_volume, (volumes.get(symbol) ?? 0) + each.trade_size)
      volumes.set(symbol, each.total_volume)
    }
  }
  // Mostly book events, some quotes and fewer trades, for every symbol.
  const [events = 0, quotes = 0, trades = 0] = ['iqfeed.l2.raw', 'iqfeed.quotes.raw', 'iqfeed.trades.raw'].map(
    (topic) => seen[topic],
  )
  assert.ok(events > quotes && quotes > trades && trades > 500)
  assert.is(books.size, 5)
})

market('starts so that nothing lies in the future when it is sent', () => {
  const startMs = (pace: Pace) => marketStartMs(100_000, { count: 20_000, rate: 1_000, pace })
  assert.is(startMs({ kind: 'fast' }), 80_000)
  assert.is(startMs({ kind: 'rate', perSecond: 1_000 }), 100_000)
  assert.is(startMs({ kind: 'recorded', speed: 20 }), 81_000)
  assert.is(startMs({ kind: 'recorded', speed: 1 }), 100_000)
  assert.is(startMs({ kind: 'recorded', speed: 0.5 }), 100_000)
})

market('is marked as synthetic, and keeps the rate by its own clock', () => {
  const messages = marketOf(1_000)
  assert.ok(messages.every(({ source, symbol }) => source === 'generated' && /^SIM\d{4}$/.test(symbol)))
  assert.equal(
    [messages[0].timestamp, messages[999].timestamp],
    ['2026-11-23T10:00:00.000000Z', '2026-11-23T10:00:00.999000Z'],
  )
  assert.is(new Set(messages.map(({ tick_id }) => tick_id)).size, 1_000)
})
market.run()
