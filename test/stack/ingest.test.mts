/** The built-in ingest on a real stack: every message format, every switch, and that nothing is lost or duplicated. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { runScript } from '../support/command.mts'
import { event, IngestStack, quote, trade } from '../support/ingest.mts'

let ingest: IngestStack
const TOPICS = { trades: 'iqfeed.trades.raw', quotes: 'iqfeed.quotes.raw', l2: 'iqfeed.l2.raw' }
const DERIVED = ['trading.signals', 'market.features']
const symbols = (() => {
  let count = 0
  /** Returns a symbol that no other test uses, because rows with equal content are merged. */
  return () => `T${++count}`
})()

const health = async (args: string[], env: NodeJS.ProcessEnv = {}) => {
  const { stdout } = await runScript('health-check.mts', [...args, '--json'], { env: { ...ingest.stack.env, ...env } })
  return JSON.parse(stdout)
}
const codes = (findings: { code: string }[]) => findings.map(({ code }) => code)

const switching = suite('ingest on, off and status')

switching.before(async () => {
  ingest = await IngestStack.start()
})

switching('is off by default, and then not part of the stack', async () => {
  const { exitCode, state, findings, topics } = await ingest.ingest(['status'])
  assert.equal([exitCode, state, findings], [0, 'off', []])
  assert.equal(
    topics.map(({ topic, lag, rejects }) => [topic, lag, rejects]),
    [...Object.values(TOPICS), ...DERIVED].map((topic) => [topic, 0, 0]),
  )
  const { services } = await health([])
  assert.equal(
    services.map(({ service }: { service: string }) => service),
    ['zookeeper', 'kafka', 'clickhouse', 'redis', 'kafka-ui'],
  )
  assert.is((await health(['--only', 'ingest'])).services[0].state, 'skipped')
})

switching('refuses wrong use with exit code 2', async () => {
  for (const args of [[], ['upside-down'], ['on', 'off']]) {
    const { exitCode, stderr } = await runScript('ingest.mts', args, { env: ingest.stack.env })
    assert.is(exitCode, 2)
    assert.match(stderr, /expected one of on, off, status/)
  }
})

switching('names every missing table and topic, and changes nothing', async () => {
  await ingest.clickhouse.command({ query: 'CREATE DATABASE l2_market_data_elsewhere' })
  await ingest.kafka.admin((admin) => admin.deleteTopics({ topics: ['market.features'] }))
  const { exitCode, findings } = await ingest.ingest(['on'], { CLICKHOUSE_DATABASE: 'l2_market_data_elsewhere' })
  assert.is(exitCode, 1)
  assert.equal(
    findings.map(({ code, subject }) => `${code} ${subject}`),
    [
      ...['market_ticks', 'market_rollup_state', 'market_l2', 'market_l1', 'market_l1_latest'].map(
        (table) => `INGEST_TABLE ${table}`,
      ),
      'INGEST_TOPIC market.features',
    ],
  )
  assert.equal(await ingest.rows('SHOW TABLES FROM l2_market_data_elsewhere'), [])
  await ingest.clickhouse.command({ query: 'DROP DATABASE l2_market_data_elsewhere' })
  assert.is((await runScript('create-topics.mts', [], { env: ingest.stack.env })).exitCode, 0)
})

switching('refuses more consumers than a topic has partitions', async () => {
  await ingest.kafka.admin((admin) => admin.deleteTopics({ topics: [TOPICS.quotes] }))
  const made = () =>
    ingest.kafka.admin((admin) => admin.createTopics({ topics: [{ topic: TOPICS.quotes, numPartitions: 3 }] }))
  // Deletion is asynchronous. Until it is done, the name is taken.
  assert.ok(await waitUntil(() => made().catch(() => false), { timeoutMs: 20_000, pollMs: 200 }))
  const { exitCode, findings } = await ingest.ingest(['on'], { INGEST_CONSUMERS: '4' })
  assert.equal([exitCode, codes(findings)], [1, ['INGEST_CONSUMERS']])
  assert.is(findings[0]?.found, '3 partitions for 4 consumers')
  assert.is((await runScript('create-topics.mts', [], { env: ingest.stack.env })).exitCode, 0)
})

switching('exits 3 while Kafka or ClickHouse does not answer', async () => {
  const clickhouse = await ingest.ingest(['status'], { CLICKHOUSE_PORT: '1' })
  assert.equal([clickhouse.exitCode, codes(clickhouse.findings)], [3, ['CLICKHOUSE_UNREACHABLE']])
  const kafka = await ingest.ingest(['on', '--timeout', '1'], { KAFKA_BOOTSTRAP_SERVERS: '127.0.0.1:1' })
  assert.equal([kafka.exitCode, codes(kafka.findings)], [3, ['KAFKA_UNREACHABLE']])
  const login = await ingest.ingest(['status'], { CLICKHOUSE_PASSWORD: 'another' })
  assert.equal([login.exitCode, codes(login.findings)], [2, ['CLICKHOUSE_AUTH']])
})

switching('--skip-backlog starts at new messages where nothing was read before', async () => {
  const symbol = symbols()
  await ingest.send(TOPICS.trades, [trade({ symbol })])
  const { exitCode, state } = await ingest.ingest(['on', '--skip-backlog'])
  assert.equal([exitCode, state], [0, 'on'])
  await ingest.send(TOPICS.trades, [trade({ symbol, tick_id: 8 })])
  assert.is(await ingest.settles('market_ticks', `symbol = '${symbol}' AND tick_id = 8`, 1), 1)
  assert.is(await ingest.count('market_ticks', `symbol = '${symbol}'`), 1)
})

switching('has nothing to do the second time', async () => {
  const { exitCode, state, changed } = await ingest.ingest(['on'])
  assert.equal([exitCode, state, changed], [0, 'on', []])
})

switching('off keeps the offsets, on continues from there', async () => {
  const symbol = symbols()
  assert.equal((await ingest.ingest(['off'])).state, 'off')
  await ingest.send(TOPICS.trades, [trade({ symbol })])
  const lags = (await ingest.ingest(['status'])).topics.map(({ lag }) => lag)
  assert.equal(lags, [1, 0, 0, 0, 0])
  assert.equal((await ingest.ingest(['off'])).changed, [])
  assert.equal((await ingest.ingest(['on'])).state, 'on')
  assert.is(await ingest.settles('market_ticks', `symbol = '${symbol}'`, 1), 1)
})

switching('changed settings make it outdated, and on recreates it', async () => {
  const env = { INGEST_FLUSH_MS: '300' }
  const { exitCode, state, findings } = await ingest.ingest(['status'], env)
  assert.equal([exitCode, state, codes(findings)], [0, 'outdated', ['INGEST_DIFFERS']])
  assert.equal((await ingest.ingest(['on'], env)).state, 'on')
  const [[create] = []] = await ingest.rows('SHOW CREATE TABLE ingest_l2_queue')
  assert.match(String(create), /kafka_flush_interval_ms = 300/)
  assert.equal((await ingest.ingest(['on'])).state, 'on')
})

switching('several consumers share the partitions of each topic', async () => {
  const env = { INGEST_CONSUMERS: '3' }
  assert.is((await ingest.ingest(['on'], env)).exitCode, 0)
  const query =
    "SELECT length(assignments.partition_id) FROM system.kafka_consumers WHERE table = 'ingest_l2_queue' ORDER BY 1"
  assert.equal(await ingest.rows(query), [[3], [3], [4]])
  const symbol = symbols()
  await ingest.send(
    TOPICS.l2,
    Array.from({ length: 100 }, () => event({ symbol })),
    { key: null },
  )
  assert.is(await ingest.settles('market_l2', `symbol = '${symbol}'`, 100), 100)
  assert.is((await ingest.ingest(['on'])).exitCode, 0)
})

switching('a missing view stops reading from its topic, and nothing is lost', async () => {
  const symbol = symbols()
  await ingest.clickhouse.command({ query: 'DROP TABLE ingest_trades_reject SYNC' })
  await ingest.send(TOPICS.trades, [trade({ symbol }), `${symbol} is not JSON`])
  const { exitCode, findings } = await health(['--only', 'ingest', '--wait', '0'])
  assert.equal([exitCode, codes(findings)[0]], [1, 'INGEST_DIFFERS'])
  assert.is(
    await ingest.settles(
      'system.kafka_consumers',
      "has(exceptions.text, '') = 0 AND table = 'ingest_trades_queue' AND exceptions.text[-1] LIKE '%ingest_trades_reject is missing%'",
      1,
    ),
    1,
  )
  const failing = await ingest.ingest(['status'])
  assert.equal(
    [failing.exitCode, failing.state, codes(failing.findings)],
    [1, 'partial', ['INGEST_DIFFERS', 'INGEST_FAILS']],
  )
  assert.is(await ingest.count('market_ticks', `symbol = '${symbol}'`), 0)
  assert.is((await ingest.ingest(['on'])).exitCode, 0)
  assert.is(await ingest.settles('market_ticks', `symbol = '${symbol}'`, 1), 1)
  assert.is(await ingest.settles('market_rejects', `message LIKE '${symbol} %'`, 1), 1)
})

switching('reports another reader of the same topics', async () => {
  const warnings = async () => {
    const { exitCode, findings } = await ingest.ingest(['status'])
    assert.is(exitCode, 0)
    const beside = findings.filter(({ code }) => code === 'INGEST_OTHER_READER')
    return beside.map(({ severity, subject, found }) => `${severity} ${subject}: ${found}`)
  }
  assert.equal(await warnings(), [])
  await ingest.kafka.whileReading('market_data_consumer', TOPICS.quotes, async () => {
    // Kafka reports a group's topics only while the group is stable.
    const lines = await waitUntil(async () => ((await warnings()).length > 0 ? warnings() : undefined), {
      timeoutMs: 20_000,
      pollMs: 200,
    })
    assert.equal(lines, [
      `warning ${TOPICS.quotes}: also read by market_data_consumer, which may write the same rows to market_l1`,
    ])
  })
})

switching('INGEST=on makes npm start switch it on, off does not touch it', async () => {
  await ingest.ingest(['off'])
  const start = (env: NodeJS.ProcessEnv) =>
    runScript('start.mts', ['--embedded'], { env: { ...ingest.stack.env, ...env } })
  assert.is((await start({})).exitCode, 0)
  assert.is((await ingest.ingest(['status'])).state, 'off')
  assert.is((await start({ INGEST: 'on' })).exitCode, 0)
  assert.is((await ingest.ingest(['status'])).state, 'on')
  assert.is((await start({})).exitCode, 0)
  assert.is((await ingest.ingest(['status'])).state, 'on')
})
switching.run()

const storing = suite('stored messages')

storing('trades: words and numbers, every form of time, missing and extra fields', async () => {
  const symbol = symbols()
  await ingest.send(TOPICS.trades, [
    trade({ symbol }),
    trade({ symbol, timestamp: '2026-11-23T05:00:00.000002-05:00', trade_price: '0.00000001', trade_size: '7' }),
    trade({ symbol, timestamp: 1795428000.000003, trade_conditions: null, tick_id: undefined, correction: 'delete' }),
    trade({
      symbol,
      timestamp: '1795428000.000004',
      bid_price: undefined,
      ask_price: null,
      basis: 'E',
      source: 'iqfeed',
    }),
    trade({ symbol, timestamp: '2026-11-23 10:00:00.000005Z', trade_price: 1e-5, something: { else: [1] } }),
  ])
  assert.is(await ingest.settles('market_ticks', `symbol = '${symbol}'`, 5), 5)
  const columns =
    'timestamp, toString(price), size, conditions, source, tick_id, market_center, toString(bid), toString(ask), total_volume, basis, correction'
  const [price, rest] = ['189.12345678', [5, '189.12', '189.13', 5_000_000]]
  const at = (micro: number) => `2026-11-23 10:00:00.00000${micro}`
  assert.equal(await ingest.rows(`SELECT ${columns} FROM market_ticks WHERE symbol = '${symbol}' ORDER BY sequence`), [
    [at(1), price, 100, '0187', '', 7, ...rest, '', 'none'],
    [at(2), '0.00000001', 7, '0187', '', 7, ...rest, '', 'none'],
    [at(3), price, 100, '', '', 0, ...rest, '', 'delete'],
    [at(4), price, 100, '0187', 'iqfeed', 7, 5, '0', '0', 5_000_000, 'E', 'none'],
    [at(5), '0.00001', 100, '0187', '', 7, ...rest, '', 'none'],
  ])
})

storing('quotes: both sides, or the one that exists', async () => {
  const symbol = symbols()
  const noBid = { bid_price: undefined, bid_size: null }
  await ingest.send(TOPICS.quotes, [quote({ symbol }), quote({ symbol, ...noBid, ask_price: '189.25' })])
  assert.is(await ingest.settles('market_l1', `symbol = '${symbol}'`, 2), 2)
  const columns = 'toString(bid), bid_size, toString(ask), ask_size, bid_market_center, ask_market_center, tick_id'
  assert.equal(await ingest.rows(`SELECT ${columns} FROM market_l1 WHERE symbol = '${symbol}' ORDER BY sequence`), [
    ['189.1', 3, '189.2', 4, 5, 11, 9],
    ['0', 0, '189.25', 4, 5, 11, 9],
  ])
})

storing('order book: codes and words, and deletes without a price', async () => {
  const symbol = symbols()
  await ingest.send(TOPICS.l2, [
    event({ symbol }),
    event({ symbol, side: 'ask', operation: 'update', order_id: '18446744073709551615', order_count: 3 }),
    event({ symbol, side: '0', operation: 'Delete', price: undefined, size: null, level: undefined }),
    event({ symbol, side: undefined, operation: 'clear', price: undefined, size: undefined }),
  ])
  assert.is(await ingest.settles('market_l2', `symbol = '${symbol}'`, 4), 4)
  const columns =
    'side, operation, toString(price), size, level, market_maker, toString(order_id), order_count, tick_id'
  assert.equal(await ingest.rows(`SELECT ${columns} FROM market_l2 WHERE symbol = '${symbol}' ORDER BY sequence`), [
    ['bid', 'insert', '189.1', 100, 1, 'NSDQ', '0', 0, 1],
    ['ask', 'update', '189.1', 100, 1, 'NSDQ', '18446744073709551615', 3, 1],
    ['ask', 'delete', '0', 0, 0, 'NSDQ', '0', 0, 1],
    ['ask', 'clear', '0', 0, 1, 'NSDQ', '0', 0, 1],
  ])
})

storing('prices as intended: rounded to eight decimals, never truncated', async () => {
  const symbol = symbols()
  const prices: [sent: unknown, stored: string][] = [
    // As Python prints 1 + 0.36, 0.1 + 0.2 + 15, and 1.2 - 1e-16.
    [1.3599999999999999, '1.36'],
    ['15.299999999999999', '15.3'],
    ['1.1999999999999999556', '1.2'],
    ['-37.630000000000003', '-37.63'],
    ['0.000000005', '0.00000001'],
    ['1.000000004999', '1'],
    [1e-5, '0.00001'],
    ['1.5E3', '1500'],
    ['9999999999.99999999', '9999999999.99999999'],
    ['12345678.123456785', '12345678.12345679'],
    ['100.', '100'],
    [0, '0'],
  ]
  await ingest.send(
    TOPICS.trades,
    prices.map(([trade_price], index) => trade({ symbol, trade_price, tick_id: index + 1 })),
  )
  assert.is(await ingest.settles('market_ticks', `symbol = '${symbol}'`, prices.length), prices.length)
  assert.equal(
    (await ingest.rows(`SELECT toString(price) FROM market_ticks WHERE symbol = '${symbol}' ORDER BY tick_id`)).flat(),
    prices.map(([, stored]) => stored),
  )
})

storing('fractional sizes, and whole ones however they are written', async () => {
  const symbol = symbols()
  const sizes: [sent: unknown, stored: number][] = [
    [0.001, 0.001],
    [1703.1, 1703.1],
    ['0.5', 0.5],
    ['100.0', 100],
    [0, 0],
    ['-0', 0],
    [9_007_199_254_740_992, 9_007_199_254_740_992],
  ]
  await ingest.send(
    TOPICS.trades,
    sizes.map(([trade_size], index) => trade({ symbol, trade_size, tick_id: `${index + 1}.0` })),
  )
  await ingest.send(TOPICS.l2, [event({ symbol, size: 28.5, level: '2.0' })])
  await ingest.send(TOPICS.quotes, [quote({ symbol, bid_size: 0.25, ask_size: '1e3' })])
  assert.is(await ingest.settles('market_ticks', `symbol = '${symbol}'`, sizes.length), sizes.length)
  assert.equal(
    (await ingest.rows(`SELECT size FROM market_ticks WHERE symbol = '${symbol}' ORDER BY tick_id`)).flat(),
    sizes.map(([, stored]) => stored),
  )
  assert.is(await ingest.settles('market_l2', `symbol = '${symbol}'`, 1), 1)
  assert.equal(await ingest.rows(`SELECT size, level FROM market_l2 WHERE symbol = '${symbol}'`), [[28.5, 2]])
  assert.is(await ingest.settles('market_l1', `symbol = '${symbol}'`, 1), 1)
  assert.equal(await ingest.rows(`SELECT bid_size, ask_size FROM market_l1 WHERE symbol = '${symbol}'`), [[0.25, 1000]])
})

storing('market centers by number and by name, and the tables’ own column names', async () => {
  const symbol = symbols()
  const { trade_price, trade_size, trade_market_center, trade_conditions, bid_price, ask_price, ...rest } = trade()
  await ingest.send(TOPICS.trades, [
    trade({ symbol, trade_market_center: '11' }),
    trade({ symbol, trade_market_center: 'NASDAQ', tick_id: 8 }),
    trade({ symbol, trade_market_center: '', tick_id: 9 }),
    trade({ symbol, trade_market_center: 70_000, tick_id: 10 }),
    {
      ...rest,
      symbol,
      tick_id: 11,
      price: 1.5,
      size: 2,
      exchange: 'ARCA',
      conditions: ['01', '87'],
      bid: 1.4,
      ask: 1.6,
    },
  ])
  await ingest.send(TOPICS.quotes, [quote({ symbol, bid_market_center: 'BATS', ask_market_center: '5' })])
  assert.is(await ingest.settles('market_ticks', `symbol = '${symbol}'`, 5), 5)
  const columns = 'toFloat64(price), size, market_center, exchange, conditions, toFloat64(bid), toFloat64(ask)'
  assert.equal(await ingest.rows(`SELECT ${columns} FROM market_ticks WHERE symbol = '${symbol}' ORDER BY tick_id`), [
    [189.12345678, 100, 11, '', '0187', 189.12, 189.13],
    [189.12345678, 100, 0, 'NASDAQ', '0187', 189.12, 189.13],
    [189.12345678, 100, 0, '', '0187', 189.12, 189.13],
    [189.12345678, 100, 0, '70000', '0187', 189.12, 189.13],
    [1.5, 2, 0, 'ARCA', '0187', 1.4, 1.6],
  ])
  assert.is(await ingest.settles('market_l1', `symbol = '${symbol}'`, 1), 1)
  const centers = 'bid_market_center, bid_exchange, ask_market_center, ask_exchange'
  const found = [[0, 'BATS', 5, '']]
  assert.equal(await ingest.rows(`SELECT ${centers} FROM market_l1 WHERE symbol = '${symbol}'`), found)
  assert.equal(await ingest.rows(`SELECT ${centers} FROM market_l1_latest FINAL WHERE symbol = '${symbol}'`), found)
})

storing('epoch times in seconds, milliseconds, microseconds and nanoseconds', async () => {
  const symbol = symbols()
  const times: [sent: unknown, stored: string][] = [
    [1795617000, '2026-11-25 14:30:00.000000'],
    [1795617000.123456, '2026-11-25 14:30:00.123456'],
    [1795617000123, '2026-11-25 14:30:00.123000'],
    [1795617000123.5, '2026-11-25 14:30:00.123500'],
    [1795617000123456, '2026-11-25 14:30:00.123456'],
    ['1795617000123456789', '2026-11-25 14:30:00.123456'],
    ['2026-11-25T09:30:00.123456789-05:00', '2026-11-25 14:30:00.123456'],
  ]
  await ingest.send(
    TOPICS.trades,
    times.map(([timestamp], index) => trade({ symbol, timestamp, tick_id: index + 1 })),
  )
  assert.is(await ingest.settles('market_ticks', `symbol = '${symbol}'`, times.length), times.length)
  assert.equal(
    (await ingest.rows(`SELECT timestamp FROM market_ticks WHERE symbol = '${symbol}' ORDER BY tick_id`)).flat(),
    times.map(([, stored]) => stored),
  )
})

storing('a message with other fields that JSON cannot express', async () => {
  const symbol = symbols()
  const line = JSON.stringify(trade({ symbol, note: 'was NaN, 12 "x"' }))
  await ingest.send(TOPICS.trades, [
    line.replace('{', '{"latency":NaN,"sequence":-123456789012345678901234567890,'),
    line.replace('"tick_id":7', '"tick_id":8,"latency":[Infinity,{"a":-Infinity}]'),
  ])
  assert.is(await ingest.settles('market_ticks', `symbol = '${symbol}'`, 2), 2)
})

storing('order book: l2_operation counts from 1, other words for sides, depth_level', async () => {
  const symbol = symbols()
  const update = (operation: unknown, more: object) => event({ symbol, l2_operation: 'update', operation, ...more })
  const level = { level: undefined, market_maker: '', tick_id: undefined }
  await ingest.send(TOPICS.l2, [
    update(1, { ...level, depth_level: 0, side: 'B', price: 10 }),
    update(0, { ...level, depth_level: 1, side: 'buy', price: 9.9 }),
    update(1, { ...level, depth_level: 0, side: 'A', price: 10.2 }),
    update(1, { ...level, depth_level: 1, side: 'S', price: 10.3 }),
    update(2, { ...level, depth_level: 0, side: 'sell', price: 10.2, size: 50 }),
    update(3, { ...level, depth_level: 1, side: 'buy', price: 9.9, size: 0 }),
    { symbol, timestamp: event().timestamp, l2_operation: 'delete', side: 0, level: 1 },
    event({ symbol, operation: 'add', price: 9.5, market_maker: '', level: 3 }),
    event({ symbol, operation: 'delete', price: undefined, size: undefined, market_maker: '', level: 3 }),
  ])
  assert.is(await ingest.settles('market_l2', `symbol = '${symbol}'`, 9), 9)
  assert.equal(
    await ingest.rows(
      `SELECT side, operation, level, price FROM market_l2 WHERE symbol = '${symbol}' ORDER BY sequence`,
    ),
    [
      ['bid', 'insert', 0, 10],
      ['bid', 'insert', 1, 9.9],
      ['ask', 'insert', 0, 10.2],
      ['ask', 'insert', 1, 10.3],
      ['ask', 'update', 0, 10.2],
      ['bid', 'delete', 1, 9.9],
      ['ask', 'delete_level', 1, 0],
      ['bid', 'insert', 3, 9.5],
      ['bid', 'delete_level', 3, 0],
    ],
  )
  const book = `market_book(symbol = '${symbol}', since = '2026-11-23 00:00:00', at = '2026-11-23 16:00:00')`
  assert.equal(await ingest.rows(`SELECT side, level, price, size FROM ${book} ORDER BY side`), [
    ['ask', 0, 10.2, 50],
    ['bid', 0, 10, 100],
  ])
})

storing('a market maker’s two sides, on either topic, are book events and no quote', async () => {
  const symbol = symbols()
  const maker = (more: object) => ({
    symbol,
    timestamp: '2026-11-23T10:00:00Z',
    market_maker: 'GSCO',
    bid_price: 149,
    bid_size: 300,
    ask_price: 151,
    ask_size: 200,
    l2_operation: 'market_maker_update',
    ...more,
  })
  const topics: [topic: string, more: object][] = [
    [TOPICS.quotes, {}],
    [TOPICS.l2, { market_maker: 'NSDQ', bid_price: 149.5, timestamp: '2026-11-23T10:00:01Z' }],
    [TOPICS.quotes, { timestamp: '2026-11-23T10:00:02Z', ask_size: 0 }],
  ]
  for (const [topic, more] of topics) await ingest.send(topic, [maker(more)])
  assert.is(await ingest.settles('market_l2', `symbol = '${symbol}'`, 6), 6)
  assert.equal(
    await ingest.rows(
      `SELECT market_maker, side, operation, price, size FROM market_l2 WHERE symbol = '${symbol}' ORDER BY timestamp, side`,
    ),
    [
      ['GSCO', 'ask', 'update', 151, 200],
      ['GSCO', 'bid', 'update', 149, 300],
      ['NSDQ', 'ask', 'update', 151, 200],
      ['NSDQ', 'bid', 'update', 149.5, 300],
      ['GSCO', 'ask', 'delete', 0, 0],
      ['GSCO', 'bid', 'update', 149, 300],
    ],
  )
  assert.is(await ingest.count('market_l1', `symbol = '${symbol}'`), 0)
  const book = `market_book(symbol = '${symbol}', since = '2026-11-23 00:00:00', at = '2026-11-23 16:00:00')`
  assert.equal(await ingest.rows(`SELECT side, price, size, orders FROM ${book} ORDER BY side, level`), [
    ['ask', 151, 200, 1],
    ['bid', 149.5, 300, 1],
    ['bid', 149, 300, 1],
  ])
})

storing('keeps Kafka’s time, and its position in the order of the topic', async () => {
  const symbol = symbols()
  // A clock that is set back, between messages of the same moment.
  for (const timestamp of ['1795428000123', '1795424400456'])
    await ingest.send(TOPICS.l2, [event({ symbol })], { timestamp, partition: 3 })
  assert.is(await ingest.settles('market_l2', `symbol = '${symbol}'`, 2), 2)
  const place = 'toUInt32(intDiv(sequence, 100000000000000)), sequence - min(sequence) OVER ()'
  assert.equal(
    await ingest.rows(`SELECT ingestion_time, ${place} FROM market_l2 WHERE symbol = '${symbol}' ORDER BY sequence`),
    [
      ['2026-11-23 10:00:00.123', 3, 0],
      ['2026-11-23 09:00:00.456', 3, 1],
    ],
  )
})

storing('signals and features stay unchanged', async () => {
  await ingest.send('trading.signals', ['{"side":"buy"}', Buffer.from([0, 255])])
  await ingest.send('market.features', ['not JSON'], { key: null })
  assert.is(await ingest.settles('market_messages', '1', 3), 3)
  assert.equal(await ingest.rows('SELECT topic, key, hex(message) FROM market_messages ORDER BY topic, offset'), [
    ['market.features', '', Buffer.from('not JSON').toString('hex').toUpperCase()],
    ['trading.signals', 'TEST', Buffer.from('{"side":"buy"}').toString('hex').toUpperCase()],
    ['trading.signals', 'TEST', '00FF'],
  ])
})

storing('a block with more days than one INSERT may write by default', async () => {
  const symbol = symbols()
  const days = Array.from({ length: 150 }, (_, day) => event({ symbol, timestamp: 1_600_000_000 + day * 86_400 }))
  await ingest.send(TOPICS.l2, days)
  assert.is(await ingest.settles('market_l2', `symbol = '${symbol}'`, 150), 150)
})
storing.run()

const rejecting = suite('rejected messages')

/** Topic, error and message of each rejected message. */
const POISON: [topic: string, error: string, message: unknown][] = [
  [TOPICS.trades, 'not JSON', 'not JSON'],
  [TOPICS.trades, 'not JSON', '{"symbol":"T","timestamp":"2026-'],
  [TOPICS.trades, 'not a JSON object', '["T","2026-11-23T10:00:00","1","1"]'],
  [TOPICS.trades, 'not a JSON object', '42'],
  [TOPICS.trades, 'not JSON', `${JSON.stringify(trade())}${JSON.stringify(trade())}`],
  [TOPICS.trades, 'not JSON', Buffer.from([0xff, 0xfe, 0x00, 0x7b])],
  [TOPICS.trades, 'cannot use: trade_price', JSON.stringify(trade()).replace('189.12345678', 'NaN')],
  [TOPICS.trades, 'cannot use: bid_price', JSON.stringify(trade()).replace('189.12,', '-Infinity,')],
  [
    TOPICS.trades,
    'cannot use: tick_id',
    JSON.stringify(trade()).replace('"tick_id":7', '"tick_id":18446744073709551616'),
  ],
  [TOPICS.trades, 'cannot use: trade_price', trade({ trade_price: 1e-9 })],
  [TOPICS.trades, 'cannot use: trade_price', trade({ trade_price: '1.2.3' })],
  [TOPICS.trades, 'cannot use: trade_size', trade({ trade_size: -1 })],
  [TOPICS.trades, 'cannot use: trade_size', trade({ trade_size: 9_007_199_254_740_994 })],
  [TOPICS.trades, 'cannot use: symbol', trade({ symbol: ['SPY'] })],
  [TOPICS.trades, 'cannot use: symbol', trade({ symbol: { a: 1 } })],
  [TOPICS.trades, 'cannot use: symbol', trade({ symbol: true })],
  [TOPICS.trades, 'cannot use: symbol', trade({ symbol: 700 })],
  [TOPICS.trades, 'cannot use: symbol', trade({ symbol: ' ' })],
  [TOPICS.trades, 'cannot use: symbol', trade({ symbol: 'SPY ' })],
  [TOPICS.trades, 'cannot use: symbol', trade({ symbol: '\u00a0SPY' })],
  [TOPICS.trades, 'cannot use: symbol', trade({ symbol: '' })],
  [TOPICS.trades, 'cannot use: timestamp', trade({ timestamp: 'yesterday' })],
  [TOPICS.trades, 'cannot use: timestamp', trade({ timestamp: 12 })],
  [TOPICS.trades, 'cannot use: timestamp', trade({ timestamp: '9999-01-01T00:00:00' })],
  [TOPICS.trades, 'cannot use: timestamp', trade({ timestamp: 17956170001 })],
  [TOPICS.trades, 'cannot use: timestamp', trade({ timestamp: undefined })],
  [TOPICS.trades, 'cannot use: trade_price', trade({ trade_price: null })],
  [TOPICS.trades, 'cannot use: trade_price, trade_size', trade({ trade_price: 1e12, trade_size: 'many' })],
  [TOPICS.trades, 'cannot use: tick_id', trade({ tick_id: -1 })],
  [TOPICS.trades, 'cannot use: correction', trade({ correction: 'perhaps' })],
  [
    TOPICS.quotes,
    'cannot use: bid_price, ask_price',
    quote({ bid_price: null, bid_size: null, ask_price: null, ask_size: null }),
  ],
  [TOPICS.quotes, 'cannot use: ask_size', quote({ ask_size: undefined })],
  [TOPICS.quotes, 'cannot use: market_maker', { ...quote(), l2_operation: 'market_maker_update' }],
  [
    TOPICS.quotes,
    'cannot use: bid_price',
    quote({ market_maker: 'GSCO', l2_operation: 'market_maker_update', bid_price: 'x' }),
  ],
  [TOPICS.l2, 'cannot use: side', event({ side: 2 })],
  [TOPICS.l2, 'cannot use: operation', event({ operation: 'replace' })],
  // Without l2_operation, operations are not numbered from 1, so 3 is not clear.
  [TOPICS.l2, 'cannot use: operation', event({ operation: 3 })],
  [TOPICS.l2, 'cannot use: l2_operation', event({ l2_operation: 'replace' })],
  [
    TOPICS.l2,
    'cannot use: price, level, order_id, market_maker',
    event({ operation: 'delete', price: null, market_maker: '', level: null }),
  ],
  [TOPICS.l2, 'cannot use: price, size', event({ price: undefined, size: undefined })],
  [TOPICS.l2, 'cannot use: level', event({ level: 70_000 })],
  [TOPICS.l2, 'cannot use: order_count', event({ order_count: 2 ** 32 })],
]

rejecting('are in market_rejects unchanged, with the reason, and reading continues', async () => {
  await ingest.clickhouse.command({ query: 'TRUNCATE TABLE market_rejects' })
  const symbol = symbols()
  const bytes = (message: unknown) =>
    (Buffer.isBuffer(message) ? message : Buffer.from(typeof message === 'string' ? message : JSON.stringify(message)))
      .toString('hex')
      .toUpperCase()
  for (const topic of Object.values(TOPICS))
    await ingest.send(
      topic,
      POISON.filter((each) => each[0] === topic).map(([, , message]) => message),
    )
  await ingest.send(TOPICS.trades, [trade({ symbol })])
  assert.is(await ingest.settles('market_rejects', '1', POISON.length), POISON.length)
  assert.is(await ingest.settles('market_ticks', `symbol = '${symbol}'`, 1), 1)
  const query =
    "SELECT topic, error, hex(message), key FROM market_rejects ORDER BY indexOf(['iqfeed.trades.raw', 'iqfeed.quotes.raw', 'iqfeed.l2.raw'], topic), offset"
  assert.equal(
    await ingest.rows(query),
    POISON.map(([topic, error, message]) => [topic, error, bytes(message), 'TEST']),
  )
})

rejecting('are reported by status and health-check, as a warning with samples', async () => {
  const { exitCode, topics, rejects, findings } = await ingest.ingest(['status'])
  assert.is(exitCode, 0)
  assert.equal(
    topics.map(({ rejects: count }) => count),
    [30, 4, 8, 0, 0],
  )
  assert.is(rejects.length, 5)
  assert.ok(rejects.every(({ error, message }) => error !== '' && message.length <= 100))
  assert.equal(codes(findings), ['INGEST_REJECTS'])
  const { exitCode: healthCode, services, findings: found } = await health(['--only', 'ingest'])
  assert.equal(
    [healthCode, services[0].state, services[0].details.rejectsToday, codes(found)],
    [0, 'healthy', 42, ['INGEST_REJECTS']],
  )
})

rejecting('include a message of the maximum size completely; the topic refuses a larger one', async () => {
  const before = await ingest.count('market_rejects')
  const limit = 1_048_588
  const large = 'x'.repeat(limit - 200)
  await ingest.send(TOPICS.trades, [large])
  assert.is(await ingest.settles('market_rejects', '1', before + 1), before + 1)
  assert.equal(await ingest.rows('SELECT max(length(message)) FROM market_rejects'), [[large.length]])
  const refused = await ingest.send(TOPICS.trades, ['x'.repeat(limit + 1)]).catch((error) => error)
  assert.match(String(refused), /larger than the max message size/)
  await ingest.clickhouse.command({ query: 'TRUNCATE TABLE market_rejects' })
})
rejecting('include those with an invalid time, but not those without a time', async () => {
  const times = [
    '10:00:00.123456',
    '2026-11-23T25:00:00',
    '2026-11-23T10:61:00',
    'Nov 23 10:00:00',
    '11/12/2026 10:00:00',
    '2026-00-10',
    '2026-11-00T10:00:00',
    '0000-11-23T10:00:00',
    '2026-11-23T10:00:00\t',
    '2026-11-23T10:00:00+05:60',
    12_345_678,
    // The range of the tables' minutes ends on this day.
    '2106-02-07',
    4_294_944_000,
  ]
  for (const [topic, message] of [
    [TOPICS.trades, trade],
    [TOPICS.quotes, quote],
    [TOPICS.l2, event],
  ] as const) {
    const messages = times.map((timestamp) => JSON.stringify(message({ timestamp })))
    await ingest.send(topic, messages, { partition: 0 })
    await ingest.settles('market_rejects', `topic = '${topic}'`, times.length)
    assert.equal(
      await ingest.rows(`SELECT error, message FROM market_rejects WHERE topic = '${topic}' ORDER BY offset`),
      messages.map((each) => ['cannot use: timestamp', each]),
    )
  }
  await ingest.clickhouse.command({ query: 'TRUNCATE TABLE market_rejects' })
})
rejecting.run()

const once = suite('messages stored once')

/** Makes ingest read every topic from its first record again, and waits until it has. */
async function readAgain(): Promise<void> {
  await ingest.ingest(['off'])
  const groups = { trades: [TOPICS.trades], quotes: [TOPICS.quotes], l2: [TOPICS.l2], messages: DERIVED }
  for (const [name, topics] of Object.entries(groups))
    for (const topic of topics) await ingest.kafka.commit(`l2_ingest.${name}`, topic, 0)
  assert.ok((await ingest.ingest(['status'])).topics.every(({ lag }) => lag > 0))
  await ingest.ingest(['on'])
  const read = async () => (await ingest.ingest(['status'])).topics.every(({ lag }) => lag === 0)
  assert.ok(await waitUntil(read, { timeoutMs: 60_000, pollMs: 100 }))
}

once('a topic read again from its first record duplicates nothing', async () => {
  const tables = ['market_ticks', 'market_l1', 'market_l2', 'market_rejects', 'market_messages']
  const counts = () => Promise.all(tables.map((table) => ingest.count(table)))
  // The first time, messages that were skipped or deleted above are stored again.
  await readAgain()
  const before = await counts()
  assert.ok(before.every((count) => count > 0))
  await readAgain()
  assert.equal(await counts(), before)
})

once('two equal messages at one moment are two events', async () => {
  const symbol = symbols()
  await ingest.send(TOPICS.l2, [event({ symbol }), event({ symbol })], { timestamp: '1795428000000' })
  assert.is(await ingest.settles('market_l2', `symbol = '${symbol}'`, 2), 2)
})

once('a recreated topic starts over: the same offsets are other messages', async () => {
  const symbol = symbols()
  const send = () => ingest.send(TOPICS.quotes, [quote({ symbol, tick_id: 0 })], { partition: 0 })
  await send()
  assert.is(await ingest.settles('market_l1', `symbol = '${symbol}'`, 1), 1)
  const reset = await runScript('reset-kafka.mts', ['--yes', '--force', '--only', TOPICS.quotes], {
    env: ingest.stack.env,
  })
  assert.is(reset.exitCode, 0, reset.stdout + reset.stderr)
  await send()
  assert.is(await ingest.settles('market_l1', `symbol = '${symbol}'`, 2), 2)
})

once('new partitions of a topic are read', async () => {
  const symbol = symbols()
  await ingest.kafka.admin((admin) =>
    admin.createPartitions({ topicPartitions: [{ topic: TOPICS.quotes, count: 12 }] }),
  )
  await ingest.send(TOPICS.quotes, [quote({ symbol })], { partition: 11 })
  assert.is(await ingest.settles('market_l1', `symbol = '${symbol}'`, 1), 1)
})
once.run()

const canary = suite('health-check --deep')

canary('sends a canary through the whole path, and leaves nothing behind', async () => {
  const left = async () => [
    await ingest.rows("SELECT name FROM system.tables WHERE name LIKE 'canary%'"),
    await ingest.kafka.admin(async (admin) => (await admin.listTopics()).filter((topic) => topic.includes('canary'))),
    await ingest.kafka.admin(async (admin) =>
      (await admin.listGroups()).groups.filter(({ groupId }) => groupId.includes('canary')),
    ),
  ]
  const rows = await ingest.count('market_ticks')
  for (const word of ['on', 'off']) {
    await ingest.ingest([word])
    const { exitCode, services, findings } = await health(['--deep', '--only', 'canary'])
    assert.equal([exitCode, services[0].state, findings], [0, 'healthy', []])
    assert.equal(Object.keys(services[0].details), [
      'prepare',
      'to kafka',
      'to clickhouse',
      'connect to redis',
      'redis',
      'clean up',
    ])
    assert.ok(Object.values<number>(services[0].details).every((ms) => ms >= 0))
    assert.match(services[0].summary, /^to kafka \d+ ms, to clickhouse \d+ ms, redis \d+ ms$/)
    assert.equal(await left(), [[], [], []])
  }
  assert.is(await ingest.count('market_ticks'), rows)
})

canary('names the hop where it got lost', async () => {
  const { exitCode, findings } = await health(['--deep', '--only', 'canary'], { REDIS_PORT: '1' })
  assert.equal([exitCode, codes(findings), findings[0].subject], [1, ['CANARY_LOST'], 'canary connect to redis'])
  assert.is((await health(['--only', 'canary'])).exitCode, 2)
})

canary('removes what a killed canary left', async () => {
  const name = `l2-canary-${Date.now() - 3_600_000}_0`
  await ingest.kafka.admin((admin) => admin.createTopics({ topics: [{ topic: name, numPartitions: 1 }] }))
  assert.is((await health(['--deep', '--only', 'canary'])).exitCode, 0)
  assert.not.ok((await ingest.kafka.admin((admin) => admin.listTopics())).includes(name))
})

canary.run()

// This suite must be the last one, because its times remain the newest of their topics.
const recordTimes = suite('record times')

recordTimes('in microseconds, nanoseconds and out of range stay plausible', async () => {
  const symbol = symbols()
  await ingest.ingest(['on'])
  const times: [sent: string, stored: string][] = [
    ['1795428000123', '2026-11-23 10:00:00.123'],
    ['1795428000123456', '2026-11-23 10:00:00.123'],
    ['1795428000123456789', '2026-11-23 10:00:00.123'],
    ['5000000000000', '1970-02-27 20:53:20.000'],
  ]
  for (const [index, [timestamp]] of times.entries())
    await ingest.send(TOPICS.trades, [trade({ symbol, tick_id: index + 1 })], { timestamp })
  await ingest.send(TOPICS.trades, [trade({ symbol, trade_price: 'x' })], { timestamp: '4200000000000' })
  assert.is(await ingest.settles('market_ticks', `symbol = '${symbol}'`, times.length), times.length)
  assert.equal(
    (await ingest.rows(`SELECT ingestion_time FROM market_ticks WHERE symbol = '${symbol}' ORDER BY tick_id`)).flat(),
    times.map(([, stored]) => stored),
  )
  // A rejected message of a producer whose clock is ahead is dated by its arrival.
  const where = `message LIKE '%"${symbol}"%'`
  assert.is(await ingest.settles('market_rejects', where, 1), 1)
  assert.equal(
    await ingest.rows(
      `SELECT timestamp, stored_at BETWEEN now() - 60 AND now() + 1 FROM market_rejects WHERE ${where}`,
    ),
    [['2103-02-04 02:40:00.000', 1]],
  )
})

recordTimes.after(() => ingest.stop())
recordTimes.run()
