/** Replay: recorded files and a generated market, sent to real topics and read back. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import kafkajs from 'kafkajs'
import { compressFrame, decompressFrame } from 'lz4-napi'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { inTime, waitUntil } from '../../scripts/lib/common/wait.mts'
import { openKafkajs } from '../../scripts/lib/kafka/clients.mts'
import { TOPICS } from '../../scripts/lib/replay/fields.mts'
import type { Message } from '../../scripts/lib/replay/message.mts'
import { readParquet } from '../../scripts/lib/replay/parquet.mts'
import { openSender } from '../../scripts/lib/replay/sender.mts'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { syncTopics } from '../../scripts/lib/topics/topics.mts'
import { runFile, runScript, startScript } from '../support/command.mts'
import { event, IngestStack, quote, trade } from '../support/ingest.mts'
import type { KafkaHelper } from '../support/kafka.mts'
import type { TestStack } from '../support/stack.mts'

const command = suite('npm run replay')

let ingest: IngestStack
let stack: TestStack
let kafka: KafkaHelper
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

/** Writes the result of a query to a Parquet file. */
async function parquetOf(name: string, query: string): Promise<string> {
  const login = `${stack.settings.CLICKHOUSE_USER}:${stack.settings.CLICKHOUSE_PASSWORD}`
  const response = await fetch(`http://127.0.0.1:${stack.settings.CLICKHOUSE_HTTP_PORT}/`, {
    method: 'POST',
    headers: { Authorization: `Basic ${Buffer.from(login).toString('base64')}` },
    body: `${query} FORMAT Parquet`,
  })
  return fileOf(name, Buffer.from(await response.arrayBuffer()))
}

/** Reads every record of a topic (key, value and codec), in the order of each partition. */
async function readTopic(topic: string): Promise<{ key: string; value: string; partition: number }[]> {
  kafkajs.CompressionCodecs[kafkajs.CompressionTypes.LZ4] = () => ({
    compress: async ({ buffer }: { buffer: Buffer }) => compressFrame(buffer),
    decompress: async (buffer: Buffer) => decompressFrame(buffer),
  })
  const total = (await kafka.highWatermarks(topic)).reduce((sum, end) => sum + end, 0)
  const records: { key: string; value: string; partition: number }[] = []
  const clients = await openKafkajs(stack.settings, { timeoutMs: 20_000 })
  try {
    const consumer = await clients.consumer({ groupId: `read-${topic}-${randomBytes(4).toString('hex')}` })
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    const reading = new Promise<void>((resolve, reject) => {
      consumer.on('consumer.crash', ({ payload }) => {
        if (!payload.restart) reject(payload.error)
      })
      consumer.run({
        eachMessage: async ({ message: { key, value }, partition }) => {
          records.push({ key: String(key), value: String(value), partition })
          if (records.length === total) resolve()
        },
      })
    })
    await inTime(reading, 60_000, `read ${records.length} of ${total} records of ${topic}`)
    return records
  } finally {
    await clients.close()
  }
}

command.before(async () => {
  ingest = await IngestStack.start()
  ;({ stack, kafka } = ingest)
})

command('JSON lines and CSV, merged by time, arrive in the topics as sent, keyed by symbol', async () => {
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

command('Parquet, in file order, with IQFeed’s own codes', async () => {
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

command('Parquet: a list is left out and reported, UTC times stay unchanged, floats keep their digits', async () => {
  const file = await parquetOf(
    'list.parquet',
    `SELECT 'LST' AS symbol, toDateTime64('2026-11-23 10:00:00.5', 6, 'UTC') AS timestamp, 1.36::Float32 AS price, 15.3::Float64 AS bid,
      15.299999999999999 AS ask, 0.001::Float64 AS size, [12, 37] AS conditions, 'ARCA' AS exchange`,
  )
  const { exitCode, stderr } = await replay([file, '--fast', '--timezone', 'America/New_York'])
  assert.equal([exitCode, stderr], [0, `${file}: skipping column conditions: LIST is not a single value\n`])
  const sent = (await readTopic('iqfeed.trades.raw')).filter(({ key }) => key === 'LST')
  assert.equal(
    sent.map(({ value }) => value),
    [
      '{"symbol":"LST","timestamp":"2026-11-23T10:00:00.500000Z","trade_price":1.36,"trade_size":0.001,"trade_market_center":"ARCA","bid_price":15.3,"ask_price":"15.299999999999999"}',
    ],
  )
  const upper = await parquetOf('upper.parquet', "SELECT 'A' AS Symbol, now64(6) AS Timestamp, 1 AS Price, 1 AS Size")
  const refused = await replayJson([upper, '--fast'])
  assert.equal(
    [refused.exitCode, refused.findings[0].code, refused.findings[0].found],
    [2, 'REPLAY_COLUMNS', 'no column symbol, timestamp among Symbol, Timestamp, Price, Size'],
  )
})

command('standard input and pipes, whatever they contain', async () => {
  const line = '{"symbol":"PIPE","timestamp":"2026-11-23T10:00:00","trade_price":1,"trade_size":5}'
  const csv = 'symbol,timestamp,price,size\nPIPE,2026-11-23T10:00:00,1,5\n'
  const files = [fileOf('pipe.jsonl', line), fileOf('pipe.json', `[${line}]`), fileOf('pipe.gz', gzipSync(csv))]
  const script = path.join(ROOT, 'scripts/replay.mts')
  for (const file of files)
    for (const way of [
      'cat "$1" | "$0" - --fast --json',
      '"$0" - --fast --json < "$1"',
      '"$0" <(cat "$1") --fast --json',
    ]) {
      const { exitCode, stdout, stderr } = await runFile('/bin/bash', ['-c', way, script, file], { env: stack.env })
      assert.equal([exitCode, stderr], [0, ''], way)
      assert.is(JSON.parse(stdout).topics['iqfeed.trades.raw'].acknowledged, 1)
    }
  const sent = (await readTopic('iqfeed.trades.raw')).filter(({ key }) => key === 'PIPE')
  assert.equal(new Set(sent.map(({ value }) => value)), new Set([line]))
  assert.is(sent.length, 9)
})

command('a line of 100 MB is a mistake like others', async () => {
  const line = '{"symbol":"A","timestamp":"2026-11-23T10:00:00","trade_price":1,"trade_size":5}'
  const file = fileOf('long.jsonl', [line, 'x'.repeat(100_000_000), line].join('\n'))
  const { exitCode, topics, findings } = await replayJson([file, '--fast'])
  assert.equal([exitCode, topics['iqfeed.trades.raw'].acknowledged], [0, 2])
  assert.equal([findings[0].subject, findings[0].found], [`${file}:2`, 'longer than 16 MB'])
})

command('a run that sends nothing does not succeed; progress and gaps go to standard error', async () => {
  const lines = [noisy('N', 4_000_000), noisy('N', 4_000_000)]
  const refused = await replayJson([fileOf('all-large.jsonl', lines.join('\n')), '--fast'])
  assert.equal([refused.exitCode, refused.unusableLines], [1, 2])
  const at = (time: string) => `{"symbol":"G","timestamp":"2026-11-23T${time}","trade_price":1,"trade_size":5}`
  const file = fileOf('gap.jsonl', [at('10:00:00'), at('20:30:00')].join('\n'))
  const long = await replay([file, '--speed', '40000'])
  assert.equal(
    [long.exitCode, long.stderr],
    [0, 'A gap of 10 h 30 min, until 2026-11-23T20:30:00Z: waiting 1 s; --max-gap SECONDS shortens gaps\n'],
  )
  const short = await replay([file, '--max-gap', '0.5'])
  assert.equal([short.exitCode, short.stderr], [0, ''])
})

command('Parquet: keep-alives and row queries alternate, since a session answers one at a time', async () => {
  const query = "SELECT 'K' AS symbol, 1795428000 + number AS timestamp, 1 AS price, 1 AS size FROM numbers(100000)"
  const file = await parquetOf('slow.parquet', query)
  let rows = 0
  for await (const batch of readParquet(
    file,
    { kind: undefined, isNamed: false, log: assert.unreachable },
    stack.settings,
    10,
  ).entries)
    rows += batch.length
  assert.is(rows, 100_000)
})

command('an unusable line is named with file and line, and counted; --strict ends there', async () => {
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

command('a message larger than its topic accepts is counted and named, all others arrive', async () => {
  const before = (await kafka.highWatermarks('iqfeed.trades.raw')).reduce((sum, end) => sum + end, 0)
  const line = (conditions: string) =>
    JSON.stringify({
      symbol: 'L',
      timestamp: '2026-11-23T10:00:00',
      trade_price: 1,
      trade_size: 5,
      trade_conditions: conditions,
    })
  // Two messages that do not compress, one larger than a batch should be and one larger than the topic accepts, among small ones.
  const noise = (bytes: number) => randomBytes(bytes / 2).toString('hex')
  const file = fileOf(
    'large.jsonl',
    [line('1'), line(noise(900_000)), line('2'), line(noise(4_000_000)), line('3')].join('\n'),
  )
  const { exitCode, unusableLines, topics, findings } = await replayJson([file, '--fast'])
  assert.equal([exitCode, unusableLines, topics['iqfeed.trades.raw'].acknowledged], [0, 1, 4])
  assert.equal([findings[0].subject, /^4000\d+ bytes exceed the limit of/.test(findings[0].found)], [`${file}:4`, true])
  assert.is(
    (await kafka.highWatermarks('iqfeed.trades.raw')).reduce((sum, end) => sum + end, 0),
    before + 4,
  )
})

/** A trade of this many incompressible bytes. */
const noisy = (symbol: string, bytes: number) =>
  `{"symbol":"${symbol}","timestamp":"2026-11-23T10:00:00","trade_price":1,"trade_size":5,"trade_conditions":"${randomBytes(bytes * 0.75).toString('base64')}"}`

command('several messages that fit alone but not together, and --strict at one that does not fit', async () => {
  const lines = [noisy('N', 700_000), noisy('N', 700_000), noisy('N', 900_000)]
  const all = await replayJson([fileOf('several.jsonl', lines.join('\n')), '--fast'])
  assert.equal([all.exitCode, all.findings, all.topics['iqfeed.trades.raw'].acknowledged], [0, [], 3])
  assert.is(all.topics['iqfeed.trades.raw'].bytes, lines.join('').length)
  const file = fileOf('strict.jsonl', [lines[0], noisy('N', 4_000_000), lines[1], 'no JSON'].join('\n'))
  const strict = await replayJson([file, '--fast', '--strict'])
  assert.equal([strict.exitCode, strict.topics['iqfeed.trades.raw'].acknowledged, strict.findings.length], [1, 1, 1])
  assert.equal(
    [strict.findings[0].subject, strict.findings[0].hint],
    [`${file}:2`, 'correct the line; everything before it was sent, nothing after it'],
  )
})

command('a batch that its topic no longer accepts is split: no duplicates, each partition in order', async () => {
  const stored = async () => (await kafka.highWatermarks('iqfeed.trades.raw')).reduce((sum, end) => sum + end, 0)
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
  // Only the partition of S4 gets few bytes, which are stored at the first attempt. The others get too many.
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
    // The broker applies a change a moment after it was made.
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

command('the ingest stores what it sends, and rejects what it reports', async () => {
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
      1_795_428_000_123,
      '1795428000123456',
      '1795428000123456789',
      '1970-01-02',
      '2106-02-06T23:59:59.999999',
      '4294943999.999999',
    ].flatMap((timestamp) => [trade({ timestamp }), trade({ timestamp, bid: 1 })].map((each) => JSON.stringify(each))),
    ...[...numbers, '-1.5', '1e-8', '9999999999.9', '1.00000000000000001'].flatMap(
      bothForms((value) => `{${base},"trade_price":${value},"trade_size":1,"conditions":"x"}`),
    ),
    ...[...numbers, '4294967295'].flatMap(bothForms((value) => `{${base},"trade_price":1,"trade_size":${value}}`)),
    ...[...numbers, '18446744073709551615', '9007199254740993'].flatMap(
      bothForms((value) => `{${base},"price":1,"size":1,"operation":1,"side":"BID","order_id":${value}}`),
    ),
    ...numbers.flatMap(
      bothForms((value) => `{${base},"price":1,"size":1,"operation":1,"side":"BID","level":${value}}`),
    ),
    ...['insert', 'add', 'Update', 'DELETE', 0, 1, 2].map((operation) => JSON.stringify(event({ operation }))),
    ...['0.0', '1.0'].flatMap(
      bothForms((value) => `{${base},"price":1,"size":1,"operation":${value},"side":${value}}`),
    ),
    ...[2, 'clear'].map((operation) => JSON.stringify(event({ operation, price: undefined, size: null }))),
    JSON.stringify(event({ operation: 'clear', side: '', price: '', size: '' })),
    ...['B', 'sell'].map((side) => JSON.stringify(event({ side }))),
    JSON.stringify(event({ level: undefined, depth_level: 3 })),
    ...[0.001, 1703.1, 4_294_967_296, 9_007_199_254_740_992].map((trade_size) => JSON.stringify(trade({ trade_size }))),
    ...['NASDAQ', 'Q', '', 65_536, '11'].map((center) => JSON.stringify(trade({ trade_market_center: center }))),
    JSON.stringify(quote({ bid_market_center: 'ARCA', ask_market_center: 'BATS' })),
    ...[0, 1, 2, 3, 'delete', undefined].map((operation) =>
      JSON.stringify(event({ operation, l2_operation: 'update' })),
    ),
    JSON.stringify({ symbol: 'P', timestamp: 1_795_428_000, l2_operation: 'delete', side: 1, level: 0 }),
    JSON.stringify({ symbol: 'P', timestamp: 1_795_428_000, side: 'bid', level: 0, operation: 'delete' }),
    JSON.stringify({
      symbol: 'P',
      timestamp: 1_795_428_000,
      l2_operation: 'market_maker_update',
      market_maker: 'GSCO',
      bid_price: 1,
      bid_size: 2,
    }),
    `{${base},"trade_price":15.299999999999999,"trade_size":1}`,
    `{${base},"price":15.299999999999999,"size":1,"latency":NaN}`,
    // A recorder's levels: the second line for a level replaces the first, whatever its market maker.
    ...[
      ['bid', 0, 1.5, 10, 'NSDQ'],
      ['bid', 1, 1.4, 20, 'NSDQ'],
      ['ask', 0, 1.7, 30, 'ARCA'],
      ['bid', 0, 1.6, 40, 'ARCA'],
      ['bid', 1, 1.5, 0, 'NSDQ'],
    ].map(([side, level, price, size, market_maker]) =>
      JSON.stringify({ symbol: 'LVL', timestamp: '2026-11-23 10:00:00', side, level, price, size, market_maker }),
    ),
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
      ].map((timestamp) => trade({ timestamp })),
      ...[-1, true, {}].map((trade_size) => trade({ trade_size })),
      ...[1e10, 1e-9, true].map((trade_price) => trade({ trade_price })),
      trade({ correction: 'x' }),
      ...[['SPY'], true, ' ', 'SPY ', 7].map((symbol) => trade({ symbol })),
      trade({ trade_size: 9_007_199_254_740_994 }),
    ],
    quotes: [
      quote({ bid_size: undefined }),
      quote({ ask_price: null }),
      quote({ bid_price: '', bid_size: '', ask_price: '', ask_size: '' }),
    ],
    l2: [
      ...['replace', 3, 4, ''].map((operation) => event({ operation })),
      event({ l2_operation: 'replace' }),
      event({ operation: 2, price: undefined, market_maker: '', level: undefined }),
      { symbol: 'P', timestamp: 1_795_428_000, l2_operation: 'market_maker_update', bid_price: 1, bid_size: 2 },
      ...[7, '', 'best'].map((side) => event({ side })),
      event({ operation: 2, side: undefined }),
      event({ price: undefined }),
      event({ level: 65_536 }),
    ],
  }
  const badLines = Object.values(bad).flatMap((each) => each.map((fields) => JSON.stringify(fields)))
  assert.is((await ingest.ingest(['on', '--skip-backlog'])).exitCode, 0)
  try {
    const named = await replayJson([fileOf('bad.jsonl', [...badLines, good[0]].join('\n')), '--fast'])
    assert.equal([named.unusableLines, named.topics['iqfeed.trades.raw'].sent], [badLines.length, 1])
    assert.equal((await replayJson([fileOf('good.jsonl', good.join('\n')), '--fast'])).findings, [])
    for (const kind of ['trades', 'quotes', 'l2'] as const) await ingest.send(TOPICS[kind], bad[kind])
    const readAll = async () => (await ingest.ingest(['status'])).topics.every(({ lag }) => lag === 0)
    assert.ok(await waitUntil(readAll, { timeoutMs: 30_000, pollMs: 200 }))
    const rejected = await ingest.rows('SELECT DISTINCT message FROM market_rejects')
    // Compared in pieces, because the assertion takes minutes to report the difference of two long lists.
    const seen = rejected.flat()
    assert.equal(
      badLines.filter((line) => !seen.includes(line)),
      [],
    )
    assert.equal(
      seen.filter((line) => !badLines.includes(String(line))),
      [],
    )
    const book = await ingest.rows(
      "SELECT side, price, size FROM market_book(symbol = 'LVL', since = '2026-11-23 00:00:00', at = '2026-11-24 00:00:00') ORDER BY price",
    )
    assert.equal(book, [
      ['bid', 1.6, 40],
      ['ask', 1.7, 30],
    ])
    const exact = await ingest.rows(
      "SELECT DISTINCT toString(order_id) FROM market_l2 WHERE symbol = 'P' AND order_id > 65535 ORDER BY order_id",
    )
    assert.equal(exact.flat(), ['9007199254740993', '18446744073709551615'])
  } finally {
    assert.is((await ingest.ingest(['off'])).exitCode, 0)
  }
})

command('wrong use, and missing or useless files, end it before it begins', async () => {
  const nothing = fileOf('nothing.csv', 'a,b\n1,2\n')
  // Looks like a regular file, but nothing is mapped at its beginning.
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
    [[nothing, '--fast'], /found no column symbol, timestamp among a, b/],
    [[fileOf('quote.csv', '\nsymbol,"price\nA,1\n'), '--fast'], /quote\.csv:2[\s\S]*found a quote that does not/],
    [[dead, '--fast'], /dead\.csv: EIO.*\[REPLAY_FILE\]/],
    [[deadParquet, '--fast'], /dead\.parquet: too short.*\[REPLAY_FILE\]/],
    [[fileOf('empty.parquet', ''), '--fast'], /empty\.parquet: .*\[REPLAY_FILE\]/],
    [[fileOf('text.parquet', 'a,b\n1,2\n'), '--fast'], /text\.parquet: .*\[REPLAY_FILE\]/],
    [[nothing, '--count', '5'], /FILE… --count: found together/],
    [[nothing, '--symbols', '5'], /FILE… --symbols: found together/],
    [[nothing, '--seed', '5'], /FILE… --seed: found together/],
    [[nothing, '--speed', '2', '--rate', '5'], /--rate --speed: found together/],
    [[nothing, '--speed', '2', '--fast'], /--fast --speed: found together/],
    [['--generate', '--kind', 'l2'], /--generate --kind: found together/],
    [['--generate', '--symbol', 'A'], /--generate --symbol: found together/],
    [[nothing, '--max-gap', '5', '--fast'], /--fast --max-gap: found together/],
    [[nothing, '--max-gap', '0', '--rate', '5'], /--rate --max-gap: found together/],
    [[nothing, '--timezone', 'Eastern'], /--timezone: found "Eastern", expected an IANA name/],
    [[nothing, '--symbol', 'SPY '], /--symbol: found "SPY ", expected no spaces/],
    [['-', '-'], /-: found standard input twice, expected once/],
    [[fileOf('x.parquet.gz', '')], /Parquet in \.gz/],
  ] as const) {
    const { exitCode, stdout, stderr } = await replay([...args])
    assert.is(exitCode, 2, stderr)
    assert.is(stdout, '')
    assert.match(stderr, expected)
  }
})

command('exits 3 without Kafka, and 2 without a topic', async () => {
  const away = await runScript('replay.mts', ['--generate', '--timeout', '1'], {
    env: { ...stack.env, KAFKA_BOOTSTRAP_SERVERS: '127.0.0.1:1' },
  })
  assert.equal([away.exitCode, away.stderr.includes('KAFKA_UNREACHABLE')], [3, true])
  await kafka.admin((admin) => admin.deleteTopics({ topics: ['iqfeed.quotes.raw'] }))
  const missing = await replay(['--generate'])
  assert.equal([missing.exitCode, missing.stderr.includes('REPLAY_TOPIC')], [2, true])
  await syncTopics(stack.settings, { mode: 'apply', timeoutMs: 60_000, log: () => {} })
})

command('synthetic data at a rate takes its time, in lz4, and ends with a summary', async () => {
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
  // The broker's files contain the codec of their batches. Some appear and disappear meanwhile.
  const logs = path.join(stack.settings.EMBEDDED_DATA_DIR, 'kafka')
  const frame = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82])
  const compressed = readdirSync(logs)
    .filter((folder) => /^iqfeed\.quotes\.raw-\d+$/.test(folder))
    .flatMap((folder) => readdirSync(path.join(logs, folder)).map((file) => path.join(logs, folder, file)))
    .filter((file) => file.endsWith('.log') && readFileSync(file).includes(frame))
  assert.ok(compressed.length > 0)
})

command('synthetic data played faster than real time ends with its play', async () => {
  const { exitCode } = await replay(['--generate', '--count', '20000', '--speed', '20', '--seed', '9'])
  const endMs = Date.now()
  assert.is(exitCode, 0)
  const quotes = (await readTopic('iqfeed.quotes.raw')).map(({ value }) => JSON.parse(value))
  const times = quotes.filter(({ source }) => source === 'generated').map(({ timestamp }) => Date.parse(timestamp))
  assert.ok(Math.max(...times) <= endMs)
})

command('Ctrl-C ends it after the batch in flight, with a summary and exit code 1', async () => {
  const sent = async () => (await kafka.highWatermarks('iqfeed.l2.raw')).reduce((sum, end) => sum + end, 0)
  const before = await sent()
  const env = { ...stack.env, NO_COLOR: '1' }
  const { child, output, ended } = startScript('replay.mts', ['--generate', '--rate', '200'], env)
  assert.ok(await waitUntil(async () => (await sent()) > before, { timeoutMs: 20_000, pollMs: 50 }))
  child.kill('SIGINT')
  assert.is(await ended, 1, output.stderr)
  const { stdout, stderr } = output
  assert.match(stderr, /Stopping after the messages in flight/)
  assert.match(stdout, /^[\d,]+ messages, /m)
  const [, events = ''] = /iqfeed\.l2\.raw +([\d,]+) sent/.exec(stdout) ?? []
  assert.is(await sent(), before + Number(events.replaceAll(',', '')))
})

command.after(async () => {
  rmSync(folder, { recursive: true })
  await ingest.stop()
})
command.run()
