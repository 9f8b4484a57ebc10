/** Rows and lines of recordings, and the messages created from them. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { zoneOf } from '../../scripts/lib/common/time.mts'
import { kindOf } from '../../scripts/lib/replay/forms.mts'
import { messageOf, messageOfLine } from '../../scripts/lib/replay/message.mts'

const reading = suite('messages')

reading('are recognized by their columns', () => {
  assert.is(kindOf(['symbol', 'price', 'size', 'bid', 'ask']), 'trades')
  assert.is(kindOf(['trade_price', 'bid_price', 'ask_price']), 'trades')
  assert.is(kindOf(['bid', 'ask', 'bid_size']), 'quotes')
  assert.is(kindOf(['price', 'size', 'side']), 'l2')
  assert.is(kindOf(['symbol', 'price']), undefined)
})

reading('from a row equal those that programs send, digit for digit', () => {
  const row = {
    symbol: 'AIG',
    timestamp: '2013-10-07 13:30:00.123456',
    price: '48.1000',
    size: '100',
    conditions: '0"1',
    market_center: '5',
    tick_id: '',
  }
  assert.equal(messageOf('trades', row), {
    topic: 'iqfeed.trades.raw',
    key: 'AIG',
    value:
      '{"symbol":"AIG","timestamp":"2013-10-07T13:30:00.123456","trade_price":48.1000,"trade_size":100,"trade_market_center":5,"trade_conditions":"0\\"1"}',
    timeUs: 1_381_152_600_123_456,
  })
  const event = { symbol: 'X', timestamp: '1795428000.5', message_type: '5', side_code: '2', market_maker: 'NSDQ' }
  assert.is(
    messageOf('l2', event).value,
    '{"symbol":"X","timestamp":1795428000.5,"market_maker":"NSDQ","operation":2,"side":1}',
  )
})

reading('from an unusable row report why', () => {
  const row = { symbol: 'A', timestamp: '2026-11-23', price: '1', size: '1', side: 'bid', operation: 'insert' }
  const wrong = (more: object) => () => messageOf('l2', { ...row, ...more })
  assert.throws(wrong({ symbol: '' }), /^symbol: missing$/)
  assert.throws(wrong({ price: '' }), /^price: missing$/)
  assert.throws(wrong({ price: '1,5' }), /^price: "1,5"$/)
  assert.throws(wrong({ size: '007' }), /^size: "007"$/)
  assert.throws(wrong({ operation: '', message_type: '1' }), /^message_type: "1"$/)
})

const lineOf = (fields: object) => ({ symbol: 'A', timestamp: '2026-11-23T10:00:00', ...fields })
const sentOf = (fields: object) => JSON.parse(messageOfLine(JSON.stringify(lineOf(fields)), undefined).value)

reading('from a line of JSON with the tables’ columns are complete', () => {
  assert.equal(
    sentOf({ bid: 1.5, ask: 2, bid_size: 3, ask_size: 4 }),
    lineOf({ bid_price: 1.5, bid_size: 3, ask_price: 2, ask_size: 4 }),
  )
  const trade = { trade_price: 1, trade_size: 5 }
  assert.equal(
    sentOf({ ...trade, conditions: '01', market_center: 5, bid: 1, ask: 2 }),
    lineOf({ ...trade, trade_market_center: 5, trade_conditions: '01', bid_price: 1, ask_price: 2 }),
  )
  // Text that ingest would not read as a number.
  assert.equal(sentOf({ trade_price: '1e2', trade_size: '5.0' }), lineOf({ trade_price: 100, trade_size: 5 }))
})

reading('from a line of JSON keep the digits of numbers, and of text that looks like a number', () => {
  const valueFrom = (line: string) => messageOfLine(line, undefined).value
  const event = '"timestamp":"2026-11-23T10:00:00","market_maker":"1\\"2,\\\\","operation":0,"side":1'
  const wide = '"price":1.10,"size":5,"order_id":6418390923188712345,"source":"x: 6418390923188712345 }"'
  assert.is(
    valueFrom(`{"symbol":"1.10","depth_level":2,${event},${wide}}`),
    `{"symbol":"1.10","timestamp":"2026-11-23T10:00:00","level":2,${event.slice(34)},${wide}}`,
    'the symbol, an escaped quote and backslash, and a number within text',
  )
  const own = `{"symbol":"A",${event},${wide},"_metadata":{"n":[6418390923188712345,-1.50e-3]}}`
  assert.is(valueFrom(own), own)
  // More digits than a double can represent.
  assert.match(
    messageOf('l2', {
      symbol: 'A',
      timestamp: '2026-11-23',
      operation: '0',
      side: '1',
      price: '1234567890.12345678',
      size: '1',
    }).value,
    /"price":"1234567890.12345678"/,
  )
  const long = '\\" 1'.repeat(1_000_000)
  assert.match(
    valueFrom(`{"symbol":"A",${event},"price":1.10,"size":5,"depth_level":2,"source":"${long}"}`),
    /"price":1.10,/,
  )
})

reading('that the ingest would reject are reported by column', () => {
  const trade = { trade_price: 1, trade_size: 5 }
  const event = { operation: 0, side: 1, price: 1, size: 1 }
  const quote = { bid_price: 1, bid_size: 2, ask_price: 3, ask_size: 4 }
  for (const [fields, expected] of [
    [{ ...trade, correction: 'x' }, 'correction: "x"'],
    [{ ...trade, trade_size: 9_007_199_254_740_994 }, 'trade_size: "9007199254740994"'],
    [{ ...trade, trade_size: -1 }, 'trade_size: "-1"'],
    [{ ...trade, trade_price: 1e10 }, 'trade_price: "10000000000"'],
    // Not 0, but 0 when rounded to eight decimals.
    [{ ...trade, trade_price: 1e-9 }, 'trade_price: "1e-9"'],
    [{ ...trade, bid_price: -1e-30 }, 'bid_price: "-1e-30"'],
    [{ ...trade, total_volume: true }, 'total_volume: "true"'],
    [{ ...trade, tick_id: '18446744073709551616' }, 'tick_id: "18446744073709551616"'],
    [{ ...trade, timestamp: undefined }, 'timestamp: missing'],
    [{ ...event, operation: 'replace' }, 'operation: "replace"'],
    [{ ...event, operation: 3 }, 'operation: "3"'],
    [{ ...event, operation: undefined }, 'operation: missing'],
    [{ ...event, operation: '', level: 1 }, 'operation: missing'],
    [{ ...event, operation: 2, price: undefined }, 'price: missing'],
    [{ ...event, operation: 2, price: undefined, order_id: 0 }, 'price: missing'],
    [{ ...event, l2_operation: 'replace' }, 'l2_operation: "replace"'],
    [{ ...event, l2_operation: 'update', operation: 4 }, 'operation: "4"'],
    [{ ...event, l2_operation: 'update', operation: 2, price: undefined }, 'price: missing'],
    [{ l2_operation: 'delete', side: 1 }, 'level: missing'],
    [{ l2_operation: 'delete', level: 0 }, 'side: missing'],
    [{ ...quote, l2_operation: 'market_maker_update' }, 'market_maker: missing'],
    [{ ...event, operation: '', message_type: 'constructor' }, 'message_type: "constructor"'],
    [{ ...event, side: 7 }, 'side: "7"'],
    [{ ...event, side: undefined }, 'side: missing'],
    [{ ...event, operation: 2, side: undefined }, 'side: missing'],
    [{ ...event, price: undefined }, 'price: missing'],
    [{ ...quote, bid_size: undefined }, 'bid_size: missing'],
    [{ ...quote, ask_price: null }, 'ask_price: missing'],
    [{ bid_price: '', ask_price: '' }, 'bid_price: missing'],
  ] as const)
    assert.throws(() => sentOf(fields), new RegExp(`^${expected}$`))
  for (const fields of [
    { ...trade, correction: 'Delete', tick_id: 7, trade_size: 4_294_967_295 },
    { ...event, operation: 'Clear', side: undefined, price: undefined, size: undefined },
    { ...event, operation: 2, price: undefined, size: undefined, market_maker: 'NSDQ' },
    { ...quote, bid_price: undefined, bid_size: undefined },
  ])
    assert.equal(sentOf(fields), JSON.parse(JSON.stringify(lineOf(fields))))
})

reading('from a line of JSON pass unchanged, or as mapped from its columns', () => {
  const own = '{"symbol":"A","timestamp":"2026-11-23T10:00:00","trade_price":1.10,"trade_size":5,"_metadata":{"x":1}}'
  assert.is(messageOfLine(` ${own}`, undefined).value, own)
  const columns = '{"symbol":"A","timestamp":"2026-11-23T10:00:00","price":1.5,"size":5}'
  assert.is(
    messageOfLine(columns, undefined).value,
    '{"symbol":"A","timestamp":"2026-11-23T10:00:00","trade_price":1.5,"trade_size":5}',
  )
  assert.throws(() => messageOfLine('{"symbol":', undefined), /^not JSON$/)
  assert.throws(() => messageOfLine('[]', undefined), /^not a JSON object$/)
  assert.throws(() => messageOfLine('{"symbol":"A"}', undefined), /^unknown message kind/)
})
reading('may have fractional sizes, market centers by name and numbers as text', () => {
  for (const fields of [
    { trade_price: 91234.5, trade_size: 0.001, trade_market_center: 'NASDAQ' },
    { trade_price: 1, trade_size: 9_007_199_254_740_992, trade_market_center: 65_536 },
    { trade_price: 1, trade_size: 5, trade_market_center: '11', bid_price: -37.63 },
    { bid_price: 1, bid_size: 1703.1, ask_price: 2, ask_size: 0.5, bid_market_center: 'ARCA', ask_market_center: '' },
    { side: 'bid', operation: 'update', price: 1.82, size: 1703.1 },
  ])
    assert.equal(sentOf(fields), lineOf(fields))
  assert.equal(
    sentOf({ price: 1, size: '100.0', exchange: 'NSDQ', conditions: ['@', 'F'] }),
    lineOf({ trade_price: 1, trade_size: 100, trade_market_center: 'NSDQ', trade_conditions: '@F' }),
  )
})

reading('of the order book: valid ones pass unchanged, words and names are mapped', () => {
  const price = { price: 1.5, size: 10 }
  for (const fields of [
    { ...price, side: 'bid', level: 1, operation: 3, l2_operation: 'update', message_type: 'l2' },
    { side: 1, level: 1, operation: 3, l2_operation: 'update' },
    { side: 0, level: 2, l2_operation: 'delete', _metadata: {} },
    { ...price, side: 0, level: 2, l2_operation: 'Update' },
    { market_maker: 'GSCO', bid_price: 149, bid_size: 300, l2_operation: 'market_maker_update' },
    {
      market_maker: 'GSCO',
      bid_price: 149,
      bid_size: 300,
      ask_price: 0,
      ask_size: 0,
      l2_operation: 'market_maker_update',
    },
    { side: 'bid', level: 0, operation: 'delete' },
  ]) {
    assert.equal(sentOf(fields), lineOf(fields))
    assert.is(
      messageOfLine(JSON.stringify(lineOf(fields)), fields.l2_operation ? 'quotes' : 'l2').topic,
      'iqfeed.l2.raw',
    )
  }
  assert.equal(
    sentOf({ ...price, side: 'B', operation: 'add', depth_level: 3 }),
    lineOf({ level: 3, operation: 0, side: 1, ...price }),
  )
  assert.equal(sentOf({ ...price, side: 'sell', operation: 1 }), lineOf({ operation: 1, side: 0, ...price }))
  assert.equal(
    sentOf({ ...price, side: 'S', l2_operation: 'update', operation: 1 }),
    lineOf({ l2_operation: 'update', operation: 1, side: 0, ...price }),
  )
})

reading('without operation set their level, whoever quoted there before', () => {
  const fields = { side: 'bid', price: 1.5, size: 10, market_maker: 'NSDQ' }
  for (const level of [{ level: 0 }, { depth_level: 0 }])
    assert.equal(
      sentOf({ ...level, ...fields, system_timestamp: '2026-11-25T10:00:00+00:00', iqfeed_latency_ms: 1 }),
      lineOf({ level: 0, market_maker: 'NSDQ', side: 'bid', price: 1.5, size: 10, operation: 1, order_id: 1 }),
    )
})

reading('have a symbol without surrounding spaces; a given symbol applies to rows without one', () => {
  const trade = { timestamp: '2026-11-23T10:00:00', trade_price: 1, trade_size: 5 }
  for (const symbol of [['SPY'], { a: 1 }, true, 1.1, ' ', 'SPY ', '\tSPY'])
    assert.throws(() => messageOfLine(JSON.stringify({ symbol, ...trade }), undefined), /^symbol: [["{t1]/)
  for (const symbol of ['', null]) {
    const line = JSON.stringify({ symbol, ...trade })
    assert.throws(() => messageOfLine(line, undefined, { symbol: 'SPY' }), /^symbol: missing$/)
  }
  const given = messageOfLine(JSON.stringify(trade), undefined, { symbol: 'SPY' })
  assert.equal([given.key, JSON.parse(given.value)], ['SPY', { symbol: 'SPY', ...trade }])
  assert.is(messageOfLine(JSON.stringify({ symbol: 'IBM', ...trade }), undefined, { symbol: 'SPY' }).key, 'IBM')
})

reading('with NaN and Infinity are reported by field, and the field is left out where nobody reads it', () => {
  const line = (more: string) =>
    `{"symbol":"A","timestamp":"2026-11-23T10:00:00","trade_price":1.10,"trade_size":1,${more}}`
  for (const [more, expected] of [
    ['"bid_price":NaN', /^bid_price: "NaN"$/],
    ['"ask_price":-Infinity', /^ask_price: "-Infinity"$/],
    ['"tick_id":18446744073709551616', /^tick_id: "18446744073709551616"$/],
  ] as const)
    assert.throws(() => messageOfLine(line(more), undefined), expected)
  assert.is(
    messageOfLine(line('"latency":NaN,"basis":"NaN"'), undefined).value,
    '{"symbol":"A","timestamp":"2026-11-23T10:00:00","trade_price":1.10,"trade_size":1,"basis":"NaN"}',
  )
  // Escaped quotes after a quote that starts an unterminated string.
  assert.throws(() => messageOfLine(`{"NaN":"${'\\"'.repeat(500_000)}`, undefined), /^not JSON$/)
})

reading('with times in other forms and zones are converted; times that the ingest reads stay unchanged', () => {
  const timeOf = (timestamp: unknown, zone?: string) => {
    const line = JSON.stringify({ symbol: 'A', timestamp, trade_price: 1, trade_size: 5, _metadata: {} })
    return JSON.parse(messageOfLine(line, undefined, { zone: zone ? zoneOf(zone) : undefined }).value)
  }
  assert.equal(timeOf(1_795_617_000_123).timestamp, '1795617000.123')
  assert.equal(timeOf('2026-11-25T10:00:00', 'America/New_York').timestamp, '2026-11-25T15:00:00Z')
  assert.ok(timeOf('2026-11-25T10:00:00')._metadata)
  assert.ok(timeOf(1_795_617_000.123, 'America/New_York')._metadata)
})
reading.run()
