/** Rows and lines of recordings, and the messages that they become. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { kindOf } from '../../scripts/lib/replay/fields.mts'
import { messageOf, messageOfLine } from '../../scripts/lib/replay/message.mts'

const reading = suite('messages')

reading('columns tell what rows are', () => {
  assert.is(kindOf(['symbol', 'price', 'size', 'bid', 'ask']), 'trades')
  assert.is(kindOf(['trade_price', 'bid_price', 'ask_price']), 'trades')
  assert.is(kindOf(['bid', 'ask', 'bid_size']), 'quotes')
  assert.is(kindOf(['price', 'size', 'side']), 'l2')
  assert.is(kindOf(['symbol', 'price']), undefined)
})

reading('a row becomes the message that programs send, digit by digit', () => {
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

reading('a row that cannot be a message says why', () => {
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

reading('a line of JSON with columns of the tables becomes the message, whole', () => {
  assert.equal(
    sentOf({ bid: 1.5, ask: 2, bid_size: 3, ask_size: 4 }),
    lineOf({ bid_price: 1.5, bid_size: 3, ask_price: 2, ask_size: 4 }),
  )
  const trade = { trade_price: 1, trade_size: 5 }
  assert.equal(
    sentOf({ ...trade, conditions: '01', market_center: 5, bid: 1, ask: 2 }),
    lineOf({ ...trade, trade_market_center: 5, trade_conditions: '01', bid_price: 1, ask_price: 2 }),
  )
  // Text that the ingest would not read as a number.
  assert.equal(sentOf({ trade_price: '1e2', trade_size: '5.0' }), lineOf({ trade_price: 100, trade_size: 5 }))
})

reading('numbers of a line of JSON keep their digits, and so does what only looks like one', () => {
  const valueFrom = (line: string) => messageOfLine(line, undefined).value
  const event = '"timestamp":"2026-11-23T10:00:00","market_maker":"1\\"2,\\\\","operation":0,"side":1'
  const wide = '"price":1.10,"size":5,"order_id":6418390923188712345,"source":"x: 6418390923188712345 }"'
  assert.is(
    valueFrom(`{"symbol":"1.10","side_code":2,${event},${wide}}`),
    `{"symbol":"1.10",${event},${wide}}`,
    'the symbol, an escaped quote and backslash, and a number within text',
  )
  const own = `{"symbol":"A",${event},${wide},"_metadata":{"n":[6418390923188712345,-1.50e-3]}}`
  assert.is(valueFrom(own), own)
  assert.is(messageOfLine(`{"symbol":1.10,${event},${wide}}`, undefined).key, '1.10')
  // More digits than a double has.
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
    valueFrom(`{"symbol":"A",${event},"price":1.10,"size":5,"side_code":2,"source":"${long}"}`),
    /"price":1.10,/,
  )
})

reading('what the ingest would reject is named by its column', () => {
  const trade = { trade_price: 1, trade_size: 5 }
  const event = { operation: 0, side: 1, price: 1, size: 1 }
  const quote = { bid_price: 1, bid_size: 2, ask_price: 3, ask_size: 4 }
  for (const [fields, expected] of [
    [{ ...trade, correction: 'x' }, 'correction: "x"'],
    [{ ...trade, trade_size: 1.5 }, 'trade_size: "1.5"'],
    [{ ...trade, trade_size: 4_294_967_296 }, 'trade_size: "4294967296"'],
    [{ ...trade, trade_size: -1 }, 'trade_size: "-1"'],
    [{ ...trade, trade_price: 1e10 }, 'trade_price: "10000000000"'],
    [{ ...trade, trade_market_center: 65_536 }, 'trade_market_center: "65536"'],
    [{ ...trade, total_volume: true }, 'total_volume: "true"'],
    [{ ...trade, tick_id: '18446744073709551616' }, 'tick_id: "18446744073709551616"'],
    [{ ...event, operation: 'replace' }, 'operation: "replace"'],
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
    { ...event, operation: 2, price: undefined, size: undefined },
    { ...quote, bid_price: undefined, bid_size: undefined },
  ])
    assert.equal(sentOf(fields), JSON.parse(JSON.stringify(lineOf(fields))))
})

reading('a line of JSON goes as it stands, or as the message that its columns make', () => {
  const own = '{"symbol":"A","timestamp":"2026-11-23T10:00:00","trade_price":1.10,"trade_size":5,"_metadata":{"x":1}}'
  assert.is(messageOfLine(` ${own}`, undefined).value, own)
  const columns = '{"symbol":"A","timestamp":"2026-11-23T10:00:00","price":1.5,"size":5}'
  assert.is(
    messageOfLine(columns, undefined).value,
    '{"symbol":"A","timestamp":"2026-11-23T10:00:00","trade_price":1.5,"trade_size":5}',
  )
  assert.throws(() => messageOfLine('{"symbol":', undefined), /^not JSON$/)
  assert.throws(() => messageOfLine('[]', undefined), /^not a JSON object$/)
  assert.throws(() => messageOfLine('{"symbol":"A"}', undefined), /^no kind of message/)
})
reading.run()
