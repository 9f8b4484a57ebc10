/** Handling rejected messages. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { runScript } from '../support/command.mts'
import { IngestStack, quote, trade } from '../support/ingest.mts'

const ingest = await IngestStack.start()
const rejects = async (...args: string[]) => {
  const { exitCode, stdout } = await runScript('ingest.mts', ['rejects', ...args, '--json'], { env: ingest.stack.env })
  const { reasons, findings, ...rest } = JSON.parse(stdout)
  const listed = (reasons ?? []).map(({ topic, error, count }: Record<string, unknown>) => [topic, error, count])
  return { exitCode, listed, codes: findings.map(({ code }: { code: string }) => code), ...rest }
}
const LISTED = [
  ['iqfeed.trades.raw', 'cannot use: trade_price', 2],
  ['iqfeed.quotes.raw', 'cannot use: symbol', 1],
]

const rejecting = suite('ingest.mts rejects')

rejecting.before(async () => {
  await ingest.ingest(['on'])
  await ingest.send('iqfeed.trades.raw', [trade({ trade_price: 'x' }), trade({ trade_price: 'y' })])
  await ingest.send('iqfeed.quotes.raw', [quote({ symbol: '' })])
  assert.is(await ingest.settles('market_rejects', '1', 3), 3)
})

rejecting('lists them by reason', async () => {
  const { exitCode, listed } = await rejects()
  assert.equal([exitCode, listed], [0, LISTED])
})

rejecting('sends them again unchanged, and keeps what is rejected again', async () => {
  const message = { ...trade({ symbol: 'AGAIN' }) }
  await ingest.clickhouse.insert({
    table: 'market_rejects',
    values: [
      {
        topic: 'iqfeed.trades.raw',
        partition: 0,
        offset: '999999',
        timestamp: '2026-11-23 10:00:00.123',
        key: 'AGAIN',
        message: JSON.stringify(message),
        error: 'fixed since',
      },
    ],
    format: 'JSONEachRow',
  })
  const { exitCode, sent } = await rejects('--replay')
  assert.equal([exitCode, sent], [0, 4])
  assert.is(await ingest.settles('market_ticks', "symbol = 'AGAIN'", 1), 1)
  assert.equal(await ingest.rows("SELECT toString(ingestion_time) FROM market_ticks WHERE symbol = 'AGAIN'"), [
    ['2026-11-23 10:00:00.123'],
  ])
  assert.is(await ingest.settles('market_rejects', '1', 3), 3)
  assert.equal((await rejects()).listed, LISTED)
})

rejecting('are a warning while new ones arrive, whatever their own time', async () => {
  const codes = async () => (await ingest.ingest(['status'])).findings.map(({ code }) => code)
  assert.equal(await codes(), ['INGEST_REJECTS'])
  await ingest.clickhouse.command({ query: 'TRUNCATE TABLE market_rejects' })
  const query = `INSERT INTO market_rejects (topic, timestamp, message, error, stored_at)
                 VALUES ('iqfeed.trades.raw', now64(3) + INTERVAL 1 YEAR, '{}', 'old', now64(3) - INTERVAL 1 HOUR)`
  await ingest.clickhouse.command({ query })
  assert.equal(await codes(), [])
})

rejecting('deletes them only with consent', async () => {
  const refused = await rejects('--clear')
  assert.equal([refused.exitCode, refused.codes, await ingest.count('market_rejects')], [2, ['CONFIRM'], 1])
  const { exitCode, deleted } = await rejects('--clear', '--yes')
  assert.equal([exitCode, deleted, await ingest.count('market_rejects')], [0, 1, 0])
})

rejecting('accepts its flags only with rejects', async () => {
  for (const args of [
    ['status', '--clear'],
    ['on', '--replay'],
    ['rejects', '--skip-backlog'],
    ['rejects', '--clear', '--replay'],
  ]) {
    const { exitCode, stdout } = await runScript('ingest.mts', [...args, '--json'], { env: ingest.stack.env })
    assert.equal([exitCode, JSON.parse(stdout).findings[0].code], [2, 'USAGE'], args.join(' '))
  }
})

rejecting.after(() => ingest.stop())
rejecting.run()
