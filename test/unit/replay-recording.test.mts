/** Recordings that are refused before any of them is sent, and recordings that are accepted. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Finding, OpsError } from '../../scripts/lib/common/findings.mts'
import { zoneOf } from '../../scripts/lib/common/time.mts'
import { openRecordings } from '../../scripts/lib/replay/files.mts'
import type { Entry, ReadOptions } from '../../scripts/lib/replay/recording.mts'
import { readSettings } from '../../scripts/lib/settings/settings.mts'

const folder = mkdtempSync(path.join(tmpdir(), 'l2-replay-'))
const fileOf = (name: string, content: string | Buffer): string => {
  const file = path.join(folder, name)
  writeFileSync(file, content)
  return file
}

/** Returns the messages and errors of files, and the logged lines. */
async function read(files: string[], options: Partial<ReadOptions> = {}) {
  const logged: string[] = []
  const given = { kind: undefined, log: (line: string) => logged.push(line), ...options }
  const entries: Entry[] = []
  for (const recording of await openRecordings(files, given, readSettings()))
    for await (const batch of recording.entries) entries.push(...batch)
  const lines = entries.map((entry) => ('message' in entry ? JSON.parse(entry.message.value) : entry.mistake))
  return { lines, logged }
}

/** Returns the findings of files that are refused. */
async function refusal(files: string[], options: Partial<ReadOptions> = {}): Promise<Finding[]> {
  try {
    await read(files, options)
  } catch (error) {
    assert.instance(error, OpsError, String(error))
    assert.is((error as OpsError).exitCode, 2)
    return (error as OpsError).findings.map((finding) => ({ ...finding, subject: path.basename(finding.subject) }))
  }
  throw new Error('Cannot test the refusal: the files were read')
}

const time = '2026-11-27T15:00:00Z'
const trade = `{"symbol":"SPY","timestamp":"${time}","trade_price":1,"trade_size":1}`
const sent = JSON.parse(trade)

const recordings = suite('openRecordings')

recordings('reports columns that make no message: what is missing, and what may be meant', async () => {
  const csv = (name: string, header: string, row: string) => fileOf(name, `${header}\n${`${row}\n`.repeat(3)}`)
  for (const [header, row, found, hint] of [
    [
      'ticker,timestamp,price,size',
      `SPY,${time},1,1`,
      'no column symbol among ticker, timestamp, price, size',
      'rename ticker to symbol',
    ],
    [
      'Symbol,Timestamp,Price,Size',
      `SPY,${time},1,1`,
      'no column symbol, timestamp among Symbol, Timestamp, Price, Size',
      'rename Symbol to symbol, Timestamp to timestamp, Price to price, Size to size',
    ],
    ['timestamp,price,size', `${time},1,1`, 'no column symbol among timestamp, price, size', /--symbol SYMBOL/],
    [
      'symbol,time,bid,ask',
      `SPY,${time},1,1`,
      'no column timestamp among symbol, time, bid, ask',
      'rename time to timestamp',
    ],
    [
      'symbol,timestamp,side,price,size',
      `SPY,${time},1,1,1`,
      'no column operation among symbol, timestamp, side, price, size',
      /help/,
    ],
    ['symbol,timestamp,value', `SPY,${time},1`, 'the columns symbol, timestamp, value', /help/],
    ['symbol,timestamp,price,size,price', `SPY,${time},1,1,9`, 'duplicate column price', 'name each column once'],
  ] as const) {
    const [finding, ...more] = await refusal([csv('columns.csv', header, row)])
    assert.equal([finding?.code, finding?.subject, finding?.found, more], ['REPLAY_COLUMNS', 'columns.csv', found, []])
    if (typeof hint === 'string') assert.is(finding?.hint, hint)
    else assert.match(finding?.hint ?? '', hint)
  }
  const upper = csv('upper.csv', 'Symbol,Timestamp,Price,Size', `SPY,${time},1,1`)
  const [forced] = await refusal([upper], { kind: 'trades' })
  assert.is(forced?.found, 'no column symbol, timestamp, price, size among Symbol, Timestamp, Price, Size')
  const lines = fileOf('ticker.jsonl', `${trade.replace('symbol', 'ticker')}\n`.repeat(2_000))
  const findings = await refusal([upper, lines])
  assert.equal(
    findings.map(({ code, subject }) => [code, subject]),
    [
      ['REPLAY_COLUMNS', 'upper.csv'],
      ['REPLAY_COLUMNS', 'ticker.jsonl'],
    ],
  )
})

recordings('refuses a file if its first thousand lines are unusable, without reading to its end', async () => {
  const bad = trade.replace(time, '11/27/2026')
  for (const [lines, found] of [
    [[bad], 'no usable line; line 1: timestamp: "11/27/2026"'],
    [Array(1_000).fill(bad), 'no usable line among the first 1000; line 1: timestamp: "11/27/2026"'],
    [['nothing', 'at all'], 'no usable line among the first 2; line 1: not JSON'],
  ] as const) {
    const [finding] = await refusal([fileOf('bad.jsonl', lines.join('\n'))])
    assert.equal([finding?.code, finding?.found], ['REPLAY_LINES', found])
  }
  const { lines } = await read([fileOf('late.jsonl', [...Array(999).fill(bad), trade].join('\n'))])
  assert.equal([lines.length, lines[0], lines[999]], [1_000, 'timestamp: "11/27/2026"', sent])
  assert.equal(
    (await read([fileOf('empty.jsonl', ''), fileOf('header.csv', 'symbol,timestamp,price,size\n')])).lines,
    [],
  )
})

recordings(
  'reads JSON as a list, indented, and one object a line, under any file name, compressed or not',
  async () => {
    const indented = JSON.stringify([sent, sent], null, 2)
    for (const [name, content] of [
      ['list.json', `[${trade},\n${trade}]`],
      ['indented.json', indented],
      ['rows.jsonl', `${trade}\n${trade}`],
      ['rows.jsonl_20250728_1306.gz', gzipSync(`${trade}\n${trade}\n`)],
      ['rows.ndjson.1', `${trade}\n${trade}\n`],
      ['rows.csv.gz', gzipSync(`symbol,timestamp,price,size\nSPY,${time},1,1\nSPY,${time},1,1\n`)],
      ['UPPER.CSV', `symbol,timestamp,price,size\r\nSPY,${time},1,1\r\nSPY,${time},1,1\r\n`],
    ] as const) {
      const { lines, logged } = await read([fileOf(name, content)])
      assert.equal([lines, logged], [[sent, sent], []], name)
    }
    for (const name of ['x.txt', 'x.csv.bz2', 'x.gz', 'csv']) {
      const [finding] = await refusal([fileOf(name, trade)])
      assert.equal([finding?.code, finding?.subject], ['REPLAY_FILE', name])
    }
    for (const file of [folder, '/dev/zero', path.join(folder, 'none.csv')])
      assert.is((await refusal([file]))[0]?.code, 'REPLAY_FILE')
  },
)

recordings(
  'takes the symbol of rows without one from the flag or the file name, and times from the given zone',
  async () => {
    const ticks =
      'timestamp,price,size,conditions,system_timestamp\n2026-11-25 10:00:00.123456,1.5,10,@,2026-11-25T10:00:00+00:00\n'
    const named = fileOf('CASE_ticks_20261125.csv', ticks)
    const expected = {
      symbol: 'CASE',
      timestamp: '2026-11-25T10:00:00.123456',
      trade_price: 1.5,
      trade_size: 10,
      trade_conditions: '@',
    }
    const utc = await read([named])
    assert.equal(utc.lines, [expected])
    assert.match(utc.logged.join('\n'), /symbol CASE, from the file name; times without an offset are UTC \(--timezone/)
    const eastern = await read([named], { symbol: 'SPY', zone: zoneOf('America/New_York') })
    assert.equal(eastern, {
      lines: [{ ...expected, symbol: 'SPY', timestamp: '2026-11-25T15:00:00.123456Z' }],
      logged: [],
    })
    const level =
      '{"timestamp":"2026-11-25 10:00:00","side":"bid","level":0,"price":1.5,"size":10,"market_maker":"NSDQ"}'
    const { lines, logged } = await read([fileOf('BRK.B_l2_20250728.jsonl', level)])
    assert.equal([lines[0].symbol, logged.length], ['BRK.B', 1])
    // Messages that contain a symbol keep it.
    assert.equal(await read([fileOf('CASE_trades_20261125.jsonl', trade)]), { lines: [sent], logged: [] })
  },
)

recordings.after(() => rmSync(folder, { recursive: true }))
recordings.run()
