/** Replay: recorded files and a generated market, into real topics and read back from them. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import kafkajs from 'kafkajs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { progressBar } from '../../scripts/lib/command/progress.mts'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { openKafkajs } from '../../scripts/lib/kafka/clients.mts'
import { parseCsvLine } from '../../scripts/lib/replay/csv.mts'
import { kindOf, TOPICS } from '../../scripts/lib/replay/fields.mts'
import type { Entry, Recording } from '../../scripts/lib/replay/files.mts'
import { compress, decompress } from '../../scripts/lib/replay/lz4.mts'
import { generateMarket } from '../../scripts/lib/replay/market.mts'
import { mergeRecordings } from '../../scripts/lib/replay/merge.mts'
import { type Message, messageOf, messageOfLine, parseTime } from '../../scripts/lib/replay/message.mts'
import { readParquet } from '../../scripts/lib/replay/parquet.mts'
import { type Pace, play } from '../../scripts/lib/replay/play.mts'
import { marketStartMs } from '../../scripts/lib/replay/replay.mts'
import { openSender } from '../../scripts/lib/replay/sender.mts'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { syncTopics } from '../../scripts/lib/topics/topics.mts'
import { runScript } from '../support/command.mts'
import { event, IngestStack, quote, trade } from '../support/ingest.mts'
import type { KafkaHand } from '../support/kafka.mts'
import type { TestStack } from '../support/stack.mts'

const lz4 = suite('lz4')

lz4('gives back what it was given: nothing, one byte, around a block’s end, what repeats and what does not', () => {
  for (const length of [0, 1, 4, 5, 12, 13, 16, 17, 270, 65_535, 65_536, 65_537, 200_000]) {
    const word = Buffer.from('abcabcabd'.repeat(Math.ceil(length / 9))).subarray(0, length)
    for (const input of [Buffer.alloc(length, 7), randomBytes(length), word])
      assert.equal(decompress(compress(input)), input)
  }
  for (let run = 0; run < 2_000; run++) {
    const input = Buffer.from(randomBytes(run % 400).map((byte) => byte % 3))
    assert.equal(decompress(compress(input)), input)
  }
})

lz4('makes messages several times smaller, and never grows by more than its frame', () => {
  const messages = Buffer.from([...firstOf(generateMarket(MARKET), 2_000)].map(({ value }) => value).join(''))
  assert.ok(compress(messages).length < messages.length / 4)
  assert.ok(compress(randomBytes(65_536)).length <= 65_536 + 15)
})

lz4('refuses what is no frame, or not a whole one', () => {
  const frame = compress(Buffer.from('abc'.repeat(100)))
  assert.throws(() => decompress(Buffer.from('no frame at all')), /found no LZ4 frame/)
  assert.throws(() => decompress(frame.subarray(0, frame.length - 4)), /found the end of the data/)
  const broken = Buffer.from(frame)
  broken.writeUInt16LE(60_000, frame.indexOf('abc') + 3)
  assert.throws(() => decompress(broken), /match beyond the data/)
})
lz4.run()

const MARKET = { symbols: 5, rate: 1_000, startMs: 1_795_428_000_000, seed: 7 }

function* firstOf<T>(items: Iterable<T>, count: number): Generator<T> {
  let left = count
  for (const item of items) {
    if (left-- <= 0) return
    yield item
  }
}

const reading = suite('rows and lines')

reading('CSV: quotes, commas and quotes within them, empty values', () => {
  assert.equal(parseCsvLine('a,,"b,c","d ""e""",'), ['a', '', 'b,c', 'd "e"', ''])
  for (const line of ['a,"b', 'a,"b"c', 'a,b"c"']) assert.throws(() => parseCsvLine(line), /a quote that does not/)
})

reading('times: ISO with and without offset, UTC without, seconds since 1970', () => {
  const expected = 1_795_428_000_000_001
  for (const text of [
    '2026-11-23T10:00:00.000001',
    '2026-11-23 10:00:00.000001Z',
    '2026-11-23T05:00:00.000001-05:00',
    '2026-11-23T15:30:00.000001+0530',
    '1795428000.000001',
  ])
    assert.is(parseTime(text), expected, text)
  assert.is(parseTime('2026-11-23'), 1_795_392_000_000_000)
  for (const text of [
    '',
    'now',
    '12',
    '10:00:00.123456',
    'Nov 23 10:00:00',
    '11/12/2026',
    '1795428000123',
    '1795428000.',
  ])
    assert.throws(() => parseTime(text), /timestamp: /)
})

reading('times that the tables cannot hold, and days and minutes that nobody has, are none', () => {
  assert.is(parseTime('2106-02-06T23:59:59'), 4_294_943_999_000_000)
  assert.is(parseTime('4294943999.999999'), 4_294_943_999_999_999)
  assert.is(parseTime('2024-02-29'), 1_709_164_800_000_000)
  for (const text of [
    '1970-01-01T23:59:59',
    '2106-02-07',
    '4294944000',
    '2026-02-30',
    '2026-02-29T10:00:00',
    '0000-11-23',
    '2026-00-10',
    '2026-13-01T00:00:00',
    '2026-11-00',
    '2026-11-23T24:00:00',
    '2026-11-23T10:61:00',
    '2026-11-23T10:00:60',
    '2026-11-23T10:00+24:00',
    '2026-11-23T10:00+05:60',
  ])
    assert.throws(() => parseTime(text), /timestamp: /)
})

reading('times are written as ISO 8601 has it, and nothing is around them', () => {
  for (const text of [
    '2026-11-23t10:00:00',
    '2026-11-23T10',
    '2026-11-23T10:00.5',
    '2026-11-23T10:00:00\t',
    '2026-11-23T10:00:00 ',
    ' 2026-11-23T10:00:00',
    '2026-11-23T10:00:00\tZ',
    '2026-11-23T10:00:00  +05:30',
  ])
    assert.throws(() => parseTime(text), /timestamp: /)
})

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

const market = suite('generated market')

/** What the messages of the first `count` say, by topic, in order. */
function marketOf(count: number, options = MARKET) {
  return [...firstOf(generateMarket(options), count)].map(({ topic, value }) => ({ topic, ...JSON.parse(value) }))
}

market('equal seeds make equal markets, others others', () => {
  assert.equal(marketOf(500), marketOf(500))
  assert.not.equal(marketOf(500), marketOf(500, { ...MARKET, seed: 8 }))
})

market('a book rebuilt from its events is never crossed, and quotes and trades are its best', () => {
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
  // Mostly book, some quotes, fewer trades; of every symbol.
  const [events = 0, quotes = 0, trades = 0] = ['iqfeed.l2.raw', 'iqfeed.quotes.raw', 'iqfeed.trades.raw'].map(
    (topic) => seen[topic],
  )
  assert.ok(events > quotes && quotes > trades && trades > 500)
  assert.is(books.size, 5)
})

market('begins so that nothing in it is to come when it is sent', () => {
  const startMs = (pace: Pace) => marketStartMs(100_000, { count: 20_000, rate: 1_000, pace })
  assert.is(startMs({ kind: 'fast' }), 80_000)
  assert.is(startMs({ kind: 'rate', perSecond: 1_000 }), 100_000)
  assert.is(startMs({ kind: 'recorded', speed: 20 }), 81_000)
  assert.is(startMs({ kind: 'recorded', speed: 1 }), 100_000)
  assert.is(startMs({ kind: 'recorded', speed: 0.5 }), 100_000)
})

market('says that it is one, and keeps the rate by its own clock', () => {
  const messages = marketOf(1_000)
  assert.ok(messages.every(({ source, symbol }) => source === 'generated' && /^SIM\d{4}$/.test(symbol)))
  assert.equal(
    [messages[0].timestamp, messages[999].timestamp],
    ['2026-11-23T10:00:00.000000Z', '2026-11-23T10:00:00.999000Z'],
  )
  assert.is(new Set(messages.map(({ tick_id }) => tick_id)).size, 1_000)
})
market.run()

const playing = suite('play')

const message = (timeUs: number): Message => ({ topic: 'iqfeed.l2.raw', key: 'A', value: String(timeUs), timeUs })
const entryOf = (timeUs: number): Entry => ({ file: 'f', line: timeUs, message: message(timeUs) })

async function* batchesOf<T>(...batches: T[][]): AsyncGenerator<T[]> {
  yield* batches
}

/** Plays with a clock of its own; returns when each message was sent, in ms, and what came of it. */
async function played(
  entries: Entry[],
  pace: Parameters<typeof play>[2]['pace'],
  more: { strict?: boolean; refuse?: number[]; batchBytes?: number } = {},
) {
  let clockMs = 1_000
  const sent: [string, number][] = []
  const batches: number[] = []
  const sender = {
    batchBytes: more.batchBytes ?? 1_000_000,
    send: async (messages: readonly Message[]) => {
      batches.push(messages.length)
      sent.push(...messages.map(({ value }): [string, number] => [value, clockMs - 1_000]))
      return more.refuse ?? []
    },
    close: async () => {},
  }
  const outcome = await play(batchesOf(entries), sender, {
    pace,
    strict: more.strict ?? false,
    onProgress: () => {},
    stopped: () => false,
    now: () => clockMs,
    sleep: async (ms) => {
      clockMs += ms
    },
  })
  return { sent, batches, outcome }
}

const SECONDS = [0, 1_000_000, 3_000_000].map(entryOf)

playing('as it happened, times the speed', async () => {
  const times = async (speed: number) => (await played(SECONDS, { kind: 'recorded', speed })).sent.map(([, ms]) => ms)
  assert.equal(await times(1), [0, 1_000, 3_000])
  assert.equal(await times(10), [0, 100, 300])
})

playing('so many a second, however far apart they happened; or at once', async () => {
  const times = async (pace: Parameters<typeof played>[1]) => (await played(SECONDS, pace)).sent.map(([, ms]) => ms)
  assert.equal(await times({ kind: 'rate', perSecond: 4 }), [0, 250, 500])
  assert.equal(await times({ kind: 'fast' }), [0, 0, 0])
})

playing('counts what it sends, and what cannot be used, with file and line', async () => {
  const entries: Entry[] = [...SECONDS, { file: 'a.csv', line: 7, mistake: 'price: "x"' }]
  const { outcome } = await played(entries, { kind: 'fast' }, { refuse: [1] })
  assert.equal(Object.fromEntries(outcome.topics), { 'iqfeed.l2.raw': { sent: 3, acknowledged: 2, bytes: 15 } })
  assert.is(outcome.mistakes, 2)
  assert.equal(outcome.samples.sort(), ['a.csv:7: price: "x"', 'f:1000000: 7 bytes are more than iqfeed.l2.raw takes'])
})

playing('strict ends at the first mistake, after what came before it', async () => {
  const entries: Entry[] = [entryOf(1), { file: 'a', line: 2, mistake: 'no' }, entryOf(3)]
  const { sent, outcome } = await played(entries, { kind: 'fast' }, { strict: true })
  assert.equal([sent.length, outcome.mistakes], [1, 1])
})

playing('strict ends at a message that its topic refuses, without waiting for the next', async () => {
  const sentOf = async (pace: Parameters<typeof played>[1], batchBytes: number) => {
    const { sent, outcome } = await played(SECONDS, pace, { strict: true, refuse: [0], batchBytes })
    assert.equal(outcome.samples, ['f:0: 1 bytes are more than iqfeed.l2.raw takes'])
    return sent
  }
  assert.equal(await sentOf({ kind: 'fast' }, 2), [['0', 0]])
  assert.equal(await sentOf({ kind: 'recorded', speed: 1 }, 1_000), [['0', 0]])
  const thenMistake: Entry[] = [entryOf(0), { file: 'f', line: 1, mistake: 'no' }]
  const { outcome } = await played(thenMistake, { kind: 'fast' }, { strict: true, refuse: [0] })
  assert.is(outcome.mistakes, 1)
})

playing('a batch has no more bytes than its topics take, as UTF-8 counts them', async () => {
  const texts = ['12', '34', '56', 'é'.repeat(4), '7', 'x'.repeat(30), '8']
  const entries = texts.map((value, line): Entry => ({ file: 'f', line, message: { ...message(line), value } }))
  const { batches, outcome } = await played(entries, { kind: 'fast' }, { batchBytes: 9 })
  // With a byte of key each: 3 + 3 + 3, 9, 2, 31 alone, 2.
  assert.equal(batches, [3, 1, 1, 1, 1])
  assert.is(outcome.topics.get('iqfeed.l2.raw')?.bytes, 46)
})

playing('several recordings are merged by time, each in its own order', async () => {
  const recording = (...batches: number[][]): Recording => ({
    file: 'f',
    entries: batchesOf(...batches.map((times) => times.map(entryOf))),
    fraction: () => 0,
  })
  const merged: number[] = []
  const recordings = [recording([1, 5], [], [6, 2]), recording([3], [4, 9]), recording()]
  for await (const batch of mergeRecordings(recordings)) merged.push(...batch.map(({ line }) => line))
  assert.equal(merged, [1, 3, 4, 5, 6, 2, 9])
})

playing('a bar is for terminals, and no faster than the eye', () => {
  const written: string[] = []
  const write = (text: string) => written.push(text)
  let clockMs = 0
  progressBar({ isTTY: false, write }, () => clockMs).show(0.5, 'half')
  assert.equal(written, [])
  const bar = progressBar({ isTTY: true, columns: 60, write }, () => clockMs)
  bar.show(0.5, 'half')
  clockMs = 99
  bar.show(0.6, 'more')
  clockMs = 100
  bar.show(undefined, 'no end in sight')
  bar.clear()
  assert.equal(written, [
    `\r\u001b[K[${'#'.repeat(15)}${'.'.repeat(15)}]  50 %  half`,
    '\r\u001b[Kno end in sight',
    '\r\u001b[K',
  ])
})
playing.run()

const command = suite('npm run replay')

let ingest: IngestStack
let stack: TestStack
let kafka: KafkaHand
const folder = mkdtempSync(path.join(tmpdir(), 'l2-replay-'))

const replay = (args: string[]) => runScript('replay.mts', args, { env: { ...stack.env, NO_COLOR: '1' } })

async function replayJson(args: string[]) {
  const { exitCode, stdout, stderr } = await replay([...args, '--json'])
  const object = JSON.parse(stdout)
  assert.is(object.exitCode, exitCode, stderr)
  return object
}

const fileOf = (name: string, content: string | Buffer): string => {
  const file = path.join(folder, name)
  writeFileSync(file, content)
  return file
}

/** A Parquet file of what a query finds. */
async function parquetOf(name: string, query: string): Promise<string> {
  const login = `${stack.settings.CLICKHOUSE_USER}:${stack.settings.CLICKHOUSE_PASSWORD}`
  const response = await fetch(`http://127.0.0.1:${stack.settings.CLICKHOUSE_HTTP_PORT}/`, {
    method: 'POST',
    headers: { Authorization: `Basic ${Buffer.from(login).toString('base64')}` },
    body: `${query} FORMAT Parquet`,
  })
  return fileOf(name, Buffer.from(await response.arrayBuffer()))
}

/** Every record of a topic: key, value and codec, in the order of each partition. */
async function readTopic(topic: string): Promise<{ key: string; value: string; partition: number }[]> {
  kafkajs.CompressionCodecs[kafkajs.CompressionTypes.LZ4] = () => ({
    compress: async ({ buffer }: { buffer: Buffer }) => compress(buffer),
    decompress: async (buffer: Buffer) => decompress(buffer),
  })
  const total = (await kafka.ends(topic)).reduce((sum, end) => sum + end, 0)
  const records: { key: string; value: string; partition: number }[] = []
  const clients = await openKafkajs(stack.settings, { timeoutMs: 20_000 })
  try {
    const consumer = await clients.consumer({ groupId: `read-${topic}-${randomBytes(4).toString('hex')}` })
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    await new Promise<void>((resolve) => {
      consumer.run({
        eachMessage: async ({ message: { key, value }, partition }) => {
          records.push({ key: String(key), value: String(value), partition })
          if (records.length === total) resolve()
        },
      })
    })
    return records
  } finally {
    await clients.close()
  }
}

command.before(async () => {
  ingest = await IngestStack.start()
  ;({ stack, kafka } = ingest)
})

command('JSON lines and CSV, merged by time, are in the topics as sent, keyed by symbol', async () => {
  const trades = fileOf(
    'trades.jsonl',
    [
      '{"symbol":"A","timestamp":"2026-11-23T10:00:00.1","trade_price":1.10,"trade_size":5}',
      '',
      '{"symbol":"B","timestamp":"2026-11-23T10:00:00.3","price":2,"size":1}',
    ].join('\n'),
  )
  const quotes = fileOf(
    'quotes.csv',
    '\uFEFFsymbol,timestamp,bid,ask,bid_size,ask_size\r\nA,2026-11-23 10:00:00.2,1.0,1.2,3,4\r\n',
  )
  const { exitCode, topics, unusableLines, findings } = await replayJson([trades, quotes, '--fast'])
  assert.equal([exitCode, unusableLines, findings], [0, 0, []])
  assert.equal(
    Object.entries(topics).map(([topic, each]) => [topic, (each as { acknowledged: number }).acknowledged]),
    [
      ['iqfeed.trades.raw', 2],
      ['iqfeed.quotes.raw', 1],
    ],
  )
  const sent = await readTopic('iqfeed.trades.raw')
  assert.equal(sent.map(({ key, value }) => `${key} ${value}`).sort(), [
    'A {"symbol":"A","timestamp":"2026-11-23T10:00:00.1","trade_price":1.10,"trade_size":5}',
    'B {"symbol":"B","timestamp":"2026-11-23T10:00:00.3","trade_price":2,"trade_size":1}',
  ])
  const [quote] = await readTopic('iqfeed.quotes.raw')
  assert.is(
    quote?.value,
    '{"symbol":"A","timestamp":"2026-11-23T10:00:00.2","bid_price":1.0,"bid_size":3,"ask_price":1.2,"ask_size":4}',
  )
})

command('Parquet, in the order of the file, with IQFeed’s own codes', async () => {
  const file = await parquetOf(
    'book.parquet',
    `SELECT 'P' AS symbol, toDateTime64('2026-11-23 10:00:00', 6, 'UTC') + toIntervalMicrosecond(45000 - number) AS timestamp,
      [3, 4, 5][number % 3 + 1]::UInt8 AS message_type, (number % 2 + 1)::UInt8 AS side_code, toDecimal64(number, 8) / 100 AS price,
      number::UInt32 AS size, 'NSDQ' AS market_maker, number AS unknown_column
    FROM numbers(45000)`,
  )
  const { exitCode, topics } = await replayJson([file, '--fast'])
  assert.equal([exitCode, topics['iqfeed.l2.raw'].acknowledged], [0, 45_000])
  const sent = await readTopic('iqfeed.l2.raw')
  assert.equal(
    sent.map(({ value }) => JSON.parse(value).size),
    Array.from({ length: 45_000 }, (_, size) => size),
  )
  assert.is(
    sent[12_345]?.value,
    '{"symbol":"P","timestamp":"2026-11-23T10:00:00.032655","market_maker":"NSDQ","operation":0,"side":1,"price":123.45,"size":12345}',
  )
})

command('Parquet: signs of life and questions for rows take turns, since a session answers one at a time', async () => {
  const query = "SELECT 'K' AS symbol, 1795428000 + number AS timestamp, 1 AS price, 1 AS size FROM numbers(100000)"
  const file = await parquetOf('slow.parquet', query)
  let rows = 0
  for await (const batch of readParquet(file, undefined, stack.settings, 10).entries) rows += batch.length
  assert.is(rows, 100_000)
})

command('a line that cannot be used names file and line, and is counted; strict ends there', async () => {
  const good = '{"symbol":"A","timestamp":"2026-11-23T10:00:00","trade_price":1,"trade_size":5}'
  const file = fileOf(
    'mixed.jsonl',
    [good, 'no JSON', good, '{"symbol":"A","timestamp":"x","price":1,"size":1}', good].join('\n'),
  )
  const lenient = await replayJson([file, '--fast'])
  assert.equal([lenient.exitCode, lenient.unusableLines, lenient.topics['iqfeed.trades.raw'].acknowledged], [0, 2, 3])
  assert.equal(
    lenient.findings.map(({ severity, code, subject, found }: Record<string, string>) => [
      severity,
      code,
      subject,
      found,
    ]),
    [
      ['warning', 'REPLAY_LINE', `${file}:2`, 'not JSON'],
      ['warning', 'REPLAY_LINE', `${file}:4`, 'timestamp: "x"'],
    ],
  )
  const strict = await replayJson([file, '--fast', '--strict'])
  assert.equal([strict.exitCode, strict.unusableLines, strict.topics['iqfeed.trades.raw'].acknowledged], [1, 1, 1])
})

command('a message larger than its topic takes is counted and named, all others arrive', async () => {
  const before = (await kafka.ends('iqfeed.trades.raw')).reduce((sum, end) => sum + end, 0)
  const line = (conditions: string) =>
    JSON.stringify({
      symbol: 'L',
      timestamp: '2026-11-23T10:00:00',
      trade_price: 1,
      trade_size: 5,
      trade_conditions: conditions,
    })
  // Two that do not compress, one larger than a batch should be and one larger than the topic takes; and small ones around them.
  const noise = (bytes: number) => randomBytes(bytes / 2).toString('hex')
  const file = fileOf(
    'large.jsonl',
    [line('1'), line(noise(900_000)), line('2'), line(noise(4_000_000)), line('3')].join('\n'),
  )
  const { exitCode, unusableLines, topics, findings } = await replayJson([file, '--fast'])
  assert.equal([exitCode, unusableLines, topics['iqfeed.trades.raw'].acknowledged], [0, 1, 4])
  assert.equal([findings[0].subject, /^4000\d+ bytes are more than/.test(findings[0].found)], [`${file}:4`, true])
  assert.is(
    (await kafka.ends('iqfeed.trades.raw')).reduce((sum, end) => sum + end, 0),
    before + 4,
  )
})

/** A trade of so many bytes that do not compress. */
const noisy = (symbol: string, bytes: number) =>
  `{"symbol":"${symbol}","timestamp":"2026-11-23T10:00:00","trade_price":1,"trade_size":5,"trade_conditions":"${randomBytes(bytes * 0.75).toString('base64')}"}`

command('several that fit alone but not together, and strict at one that does not', async () => {
  const lines = [noisy('N', 700_000), noisy('N', 700_000), noisy('N', 900_000)]
  const all = await replayJson([fileOf('several.jsonl', lines.join('\n')), '--fast'])
  assert.equal([all.exitCode, all.findings, all.topics['iqfeed.trades.raw'].acknowledged], [0, [], 3])
  assert.is(all.topics['iqfeed.trades.raw'].bytes, lines.join('').length)
  const file = fileOf('strict.jsonl', [lines[0], noisy('N', 4_000_000), lines[1], 'no JSON'].join('\n'))
  const strict = await replayJson([file, '--fast', '--strict'])
  assert.equal([strict.exitCode, strict.topics['iqfeed.trades.raw'].acknowledged, strict.findings.length], [1, 1, 1])
  assert.equal(
    [strict.findings[0].subject, strict.findings[0].hint],
    [`${file}:2`, 'mend the line; the play ended there, what came before it was sent'],
  )
})

command('a batch that its topic takes no more is sent in parts: nothing twice, each partition in order', async () => {
  const stored = async () => (await kafka.ends('iqfeed.trades.raw')).reduce((sum, end) => sum + end, 0)
  const sender = await openSender(stack.settings, Object.values(TOPICS), { timeoutMs: 20_000, log: assert.unreachable })
  const limit = (bytes: number) =>
    kafka.admin((admin) =>
      admin.alterConfigs({
        validateOnly: false,
        resources: [
          {
            type: kafkajs.ConfigResourceTypes.TOPIC,
            name: 'iqfeed.trades.raw',
            configEntries: [{ name: 'max.message.bytes', value: String(bytes) }],
          },
        ],
      }),
    )
  // The partition of S4 alone gets little, which is stored at the first attempt; the others get too much.
  const sizes = Array.from({ length: 24 }, (_, index) => (index === 13 ? 500_000 : index % 8 === 4 ? 100 : 60_000))
  const messages = sizes.map((bytes, index): Message => {
    const key = `S${index % 8}`
    return {
      topic: 'iqfeed.trades.raw',
      key,
      value: `${index} ${randomBytes(bytes * 0.75).toString('base64')}`,
      timeUs: 0,
    }
  })
  const tooLarge: Message = {
    topic: 'iqfeed.trades.raw',
    key: 'limit',
    value: randomBytes(112_500).toString('base64'),
    timeUs: 0,
  }
  let before = 0
  try {
    await limit(100_000)
    // The broker hears of a change a moment after it was made.
    const refused = async () => (await sender.send([tooLarge])).length === 1
    assert.ok(await waitUntil(refused, { timeoutMs: 20_000, pollMs: 50 }))
    before = await stored()
    assert.equal(await sender.send(messages), [13])
    assert.equal(await sender.send([messages[4] as Message]), [], 'the sender goes on')
  } finally {
    await sender.close()
    await syncTopics(stack.settings, { mode: 'apply', timeoutMs: 60_000, log: () => {} })
  }
  const sent = (await readTopic('iqfeed.trades.raw')).filter(({ key }) => /^S\d$/.test(key))
  assert.is(await stored(), before + 24)
  for (const key of new Set(messages.map((each) => each.key))) {
    const values = messages.filter((each, index) => each.key === key && index !== 13).map(({ value }) => value)
    assert.equal(
      sent.filter((each) => each.key === key).map(({ value }) => value),
      key === 'S4' ? [...values, values[0]] : values,
    )
  }
})

command('what it sends, the ingest stores; what it names, the ingest rejects', async () => {
  const base = '"symbol":"P","timestamp":"2026-11-23T10:00:00"'
  const bothForms = (fields: (value: string) => string) => (value: string) => [fields(value), fields(`"${value}"`)]
  const numbers = ['0', '-0', '1.0', '1e2', '1E2', '65535']
  const good = [
    ...[
      '2026-11-23 10:00',
      '2026-11-23',
      '2026-11-23 10:00:00 +0530',
      '2026-11-23 10:00:00.123456789Z',
      '2026-11-23T10:00:00.1-05',
      '2026-11-23 +05:30',
      '1795428000.5',
      1_795_428_000.000_001,
      '1970-01-02',
      '2106-02-06T23:59:59.999999',
      '4294943999.999999',
    ].flatMap((timestamp) => [trade({ timestamp }), trade({ timestamp, bid: 1 })].map((each) => JSON.stringify(each))),
    ...[...numbers, '-1.5', '1e-30', '9999999999.9', '1.00000000000000001'].flatMap(
      bothForms((value) => `{${base},"trade_price":${value},"trade_size":1,"conditions":"x"}`),
    ),
    ...[...numbers, '4294967295'].flatMap(bothForms((value) => `{${base},"trade_price":1,"trade_size":${value}}`)),
    ...[...numbers, '18446744073709551615', '9007199254740993'].flatMap(
      bothForms((value) => `{${base},"price":1,"size":1,"operation":1,"side":"BID","order_id":${value}}`),
    ),
    ...numbers.flatMap(
      bothForms((value) => `{${base},"price":1,"size":1,"operation":1,"side":"BID","level":${value}}`),
    ),
    ...['insert', 'Update', 'DELETE', 0, 1, 2, 3, '3'].map((operation) => JSON.stringify(event({ operation }))),
    ...['0.0', '1.0'].flatMap(
      bothForms((value) => `{${base},"price":1,"size":1,"operation":${value},"side":${value}}`),
    ),
    ...[2, 'clear'].map((operation) => JSON.stringify(event({ operation, price: undefined, size: null }))),
    JSON.stringify(event({ operation: 3, side: '', price: '', size: '' })),
    ...['none', 'INSERT', 'delete', ''].map((correction) => JSON.stringify(trade({ correction }))),
    JSON.stringify(quote({ bid_price: undefined, bid_size: undefined })),
    `{${base},"bid":1,"bid_size":"2"}`,
  ]
  const bad = {
    trades: [
      ...[
        '2026-02-30',
        '2026-11-23t10:00:00',
        '2106-02-07',
        '1970-01-01T23:00:00',
        '10:00:00.123456',
        '2026-11-23T24:00:00',
        '2026-11-23T10:61:00',
        '2026-11-23T10:00:60',
        '2026-11-23T10:00.5',
        '2026-00-10',
        '2026-11-00',
        '0000-11-23T10:00:00',
        '2026-11-23T10:00:00\t',
        '2026-11-23T10:00:00+24:00',
        '11/12/2026 10:00:00',
        1_795_428_000_123,
      ].map((timestamp) => trade({ timestamp })),
      ...[-1, 1.5, 4_294_967_296, true, {}].map((trade_size) => trade({ trade_size })),
      ...[1e10, true].map((trade_price) => trade({ trade_price })),
      trade({ correction: 'x' }),
    ],
    quotes: [
      quote({ bid_size: undefined }),
      quote({ ask_price: null }),
      quote({ bid_price: '', bid_size: '', ask_price: '', ask_size: '' }),
    ],
    l2: [
      ...['replace', 4, ''].map((operation) => event({ operation })),
      ...[7, '', 'buy'].map((side) => event({ side })),
      event({ operation: 2, side: undefined }),
      event({ price: undefined }),
      event({ level: 65_536 }),
    ],
  }
  const badLines = Object.values(bad).flatMap((each) => each.map((fields) => JSON.stringify(fields)))
  assert.is((await ingest.ingest(['on', '--skip-backlog'])).exitCode, 0)
  try {
    const named = await replayJson([fileOf('bad.jsonl', badLines.join('\n')), '--fast'])
    assert.equal([named.unusableLines, named.topics], [badLines.length, {}])
    assert.equal((await replayJson([fileOf('good.jsonl', good.join('\n')), '--fast'])).findings, [])
    for (const kind of ['trades', 'quotes', 'l2'] as const) await ingest.send(TOPICS[kind], bad[kind])
    const readAll = async () => (await ingest.ingest(['status'])).topics.every(({ lag }) => lag === 0)
    assert.ok(await waitUntil(readAll, { timeoutMs: 30_000, pollMs: 200 }))
    const rejected = await ingest.rows('SELECT DISTINCT message FROM market_rejects')
    assert.equal(rejected.flat().sort(), badLines.sort())
    const exact = await ingest.rows(
      "SELECT DISTINCT toString(order_id) FROM market_l2 WHERE symbol = 'P' AND order_id > 65535 ORDER BY order_id",
    )
    assert.equal(exact.flat(), ['9007199254740993', '18446744073709551615'])
  } finally {
    assert.is((await ingest.ingest(['off'])).exitCode, 0)
  }
})

command('wrong use, and files that are not there or tell nothing, end it before it begins', async () => {
  const nothing = fileOf('nothing.csv', 'a,b\n1,2\n')
  // A file like any other to who asks, but nothing is mapped at its beginning.
  const [dead, deadParquet] = ['dead.csv', 'dead.parquet'].map((name) => {
    const link = path.join(folder, name)
    symlinkSync('/proc/self/mem', link)
    return link
  }) as [string, string]
  for (const [args, expected] of [
    [[], /expected files, or --generate/],
    [['--generate', 'x.csv'], /FILE… --generate: found together/],
    [['--generate', '--fast', '--rate', '1'], /expected one of them/],
    [['no-such.jsonl', 'other.txt', '--fast'], /no-such\.jsonl[\s\S]*other\.txt/],
    [[fileOf('x.txt', '')], /expected a name that ends in \.jsonl/],
    [[nothing, '--kind', 'bars'], /expected trades, quotes, l2/],
    [[nothing, '--fast'], /found the columns a, b/],
    [[fileOf('quote.csv', '\nsymbol,"price\nA,1\n'), '--fast'], /quote\.csv:2[\s\S]*found a quote that does not/],
    [[dead, '--fast'], /dead\.csv: found EIO.*\[REPLAY_FILE\]/],
    [[deadParquet, '--fast'], /dead\.parquet: found EIO.*\[REPLAY_FILE\]/],
    [[fileOf('empty.parquet', ''), '--fast'], /empty\.parquet: found .*\[REPLAY_FILE\]/],
    [[fileOf('text.parquet', 'a,b\n1,2\n'), '--fast'], /text\.parquet: found .*\[REPLAY_FILE\]/],
    [[nothing, '--count', '5'], /FILE… --count: found together/],
    [[nothing, '--symbols', '5'], /FILE… --symbols: found together/],
    [[nothing, '--seed', '5'], /FILE… --seed: found together/],
    [[nothing, '--speed', '2', '--rate', '5'], /--rate --speed: found together/],
    [[nothing, '--speed', '2', '--fast'], /--fast --speed: found together/],
    [['--generate', '--kind', 'l2'], /--generate --kind: found together/],
  ] as const) {
    const { exitCode, stdout, stderr } = await replay([...args])
    assert.is(exitCode, 2, stderr)
    assert.is(stdout, '')
    assert.match(stderr, expected)
  }
})

command('says 3 when Kafka is not there, 2 when a topic is not', async () => {
  const away = await runScript('replay.mts', ['--generate', '--timeout', '1'], {
    env: { ...stack.env, KAFKA_BOOTSTRAP_SERVERS: '127.0.0.1:1' },
  })
  assert.equal([away.exitCode, away.stderr.includes('KAFKA_UNREACHABLE')], [3, true])
  await kafka.admin((admin) => admin.deleteTopics({ topics: ['iqfeed.quotes.raw'] }))
  const missing = await replay(['--generate'])
  assert.equal([missing.exitCode, missing.stderr.includes('REPLAY_TOPIC')], [2, true])
  await syncTopics(stack.settings, { mode: 'apply', timeoutMs: 60_000, log: () => {} })
})

command('a generated market at a rate takes its time, in lz4, and ends with a summary', async () => {
  const startMs = performance.now()
  const { exitCode, stdout, stderr } = await replay([
    '--generate',
    '--count',
    '1500',
    '--rate',
    '1000',
    '--symbols',
    '3',
  ])
  assert.equal([exitCode, stderr], [0, ''])
  assert.ok(performance.now() - startMs >= 1_490)
  assert.match(stdout, /^ {2}iqfeed\.l2\.raw +1,\d{3} sent +1,\d{3} acknowledged +\d+\.\d MB$/m)
  assert.match(stdout, /^1,500 messages, [\d,]+\/s, in \d\.\d s$/m)
  // The broker's own files say which codec they hold; some come and go meanwhile.
  const logs = path.join(stack.settings.EMBEDDED_DATA_DIR, 'kafka')
  const frame = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82])
  const compressed = readdirSync(logs)
    .filter((folder) => /^iqfeed\.quotes\.raw-\d+$/.test(folder))
    .flatMap((folder) => readdirSync(path.join(logs, folder)).map((file) => path.join(logs, folder, file)))
    .filter((file) => file.endsWith('.log') && readFileSync(file).includes(frame))
  assert.ok(compressed.length > 0)
})

command('a generated market that is played faster than it happens is over when its play is', async () => {
  const { exitCode } = await replay(['--generate', '--count', '20000', '--speed', '20', '--seed', '9'])
  const endMs = Date.now()
  assert.is(exitCode, 0)
  const quotes = (await readTopic('iqfeed.quotes.raw')).map(({ value }) => JSON.parse(value))
  const times = quotes.filter(({ source }) => source === 'generated').map(({ timestamp }) => Date.parse(timestamp))
  assert.ok(Math.max(...times) <= endMs)
})

command('Ctrl-C ends it after what is on its way, with a summary and exit code 1', async () => {
  const sent = async () => (await kafka.ends('iqfeed.l2.raw')).reduce((sum, end) => sum + end, 0)
  const before = await sent()
  const child = spawn(path.join(ROOT, 'scripts/replay.mts'), ['--generate', '--rate', '200'], {
    env: { ...stack.env, NO_COLOR: '1' },
  })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const ended = once(child, 'close')
  assert.ok(await waitUntil(async () => (await sent()) > before, { timeoutMs: 20_000, pollMs: 50 }))
  child.kill('SIGINT')
  assert.equal(await ended, [1, null], stderr)
  assert.match(stderr, /Ending after what is on its way/)
  assert.match(stdout, /^[\d,]+ messages, /m)
  const [, events = ''] = /iqfeed\.l2\.raw +([\d,]+) sent/.exec(stdout) ?? []
  assert.is(await sent(), before + Number(events.replaceAll(',', '')))
})

command.after(async () => {
  rmSync(folder, { recursive: true })
  await ingest.stop()
})
command.run()
