/** Archives and backups in a bucket, on a real S3 server: as safe as in a folder, and with the same files. */
import { randomBytes } from 'node:crypto'
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { hostname, tmpdir } from 'node:os'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { sha256Of } from '../../scripts/lib/archive/store.mts'
import { connectClickHouse, readRows } from '../../scripts/lib/clickhouse/client.mts'
import { readText } from '../../scripts/lib/common/http.mts'
import { openBucket } from '../../scripts/lib/s3/bucket.mts'
import { connectS3 } from '../../scripts/lib/s3/requests.mts'
import { type CommandOptions, killOn, runScript } from '../support/command.mts'
import { BUCKET, startS3 } from '../support/s3.mts'
import { applyInitFiles, freePorts, startStack } from '../support/stack.mts'

const s3 = await startS3()
const stack = await startStack(['clickhouse'], { CLICKHOUSE_EXTRA_GRANTS: 'BACKUP', ...s3.env })
const { settings, env } = stack
const root = mkdtempSync(path.join(tmpdir(), 'l2-s3-test-'))
await applyInitFiles(settings)
const client = await connectClickHouse(settings, 60_000)
const server = await connectClickHouse({ ...settings, CLICKHOUSE_DATABASE: 'system' }, 60_000)

let prefixes = 0
/** Returns a new prefix, and the folder in which its objects are files. */
function newPrefix(): { address: string; folder: string } {
  const prefix = `tests/a b+c=é${prefixes++}`
  return { address: `s3://${BUCKET}/${prefix}`, folder: path.join(s3.folder, prefix) }
}

async function command(script: 'archive' | 'restore' | 'backup', args: string[], options: CommandOptions = {}) {
  const { stdout, stderr, exitCode } = await runScript(`${script}.mts`, [...args, '--json'], { env, ...options })
  const report = JSON.parse(stdout || '{}') as {
    days?: { day: string; state: string }[]
    partitions?: { partition: string; state: string }[]
    tables?: { name: string; state?: string }[]
    backup?: string
    findings?: { code: string; subject: string; found: string }[]
  }
  const { days = [], partitions = [], tables = [], backup = '', findings = [] } = report
  return {
    ...{ exitCode, stderr, backup, findings, codes: findings.map(({ code }) => code) },
    days: Object.fromEntries(days.map(({ day, state }) => [day, state])),
    dropped: partitions.filter(({ state }) => state === 'dropped').map(({ partition }) => partition),
    tables: [...new Set(tables.map(({ state }) => state))],
  }
}
const archive = (to: string, more: string[] = ['--yes'], options: CommandOptions = {}) =>
  command('archive', ['--table', 'market_metrics', '--before', '2026-04-01', '--to', to, ...more], options)
const restore = (from: string, options: CommandOptions = {}) =>
  command('restore', ['--table', 'market_metrics', '--from', from], options)
const restoreBackup = (from: string, more: string[] = [], options: CommandOptions = {}) =>
  command('restore', ['--backup', 'latest', '--from', from, ...more], options)

/** Each is in a separate partition. */
const DAYS = ['2026-01-05', '2026-02-05', '2026-03-05']
async function fill(): Promise<void> {
  await client.command({ query: 'TRUNCATE TABLE market_metrics' })
  for (const day of DAYS)
    await client.command({
      query: `INSERT INTO market_metrics (symbol, timestamp, metric, value)
              SELECT 'SPY', toDateTime64('${day} 14:30:00', 6, 'UTC') + number, 'vpin', number / 7 FROM numbers(500)`,
    })
}
const contents = async () =>
  readRows(
    client,
    'SELECT toString(count()) AS rows, toString(sum(cityHash64(toString(tuple(*))))) AS sum FROM market_metrics',
  )
const staged = ['archive', path.join('backup', 's3')].map((folder) => path.join(settings.EMBEDDED_DATA_DIR, folder))
const filesIn = (folder: string) =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    : []
const leftHere = () => staged.flatMap(filesIn).map(({ name }) => name)
const filesOf = (folder: string) =>
  filesIn(folder).map((file) => path.relative(folder, path.join(file.parentPath, file.name)))

const buckets = suite('a bucket')

buckets('stores files of any size and name, and lists them all', async () => {
  const { address, folder } = newPrefix()
  const bucket = await openBucket(settings, address, 60_000)
  const file = path.join(root, 'file')
  // An upload of a killed run. The next run aborts it.
  const ask = await connectS3(settings, BUCKET, 60_000)
  const prefix = address.slice(`s3://${BUCKET}/`.length)
  const begun = { method: 'POST', key: `${prefix}/in parts/odd%27name.bin`, query: { uploads: '' } } as const
  const uploads = () => ask({ method: 'GET', query: { uploads: '', prefix } }, readText)
  await ask(begun, readText)
  assert.match((await uploads()) ?? '', '<Upload>')
  // The second one is sent in two parts.
  for (const [key, bytes] of [
    ['empty', 0],
    ['in parts/odd%27name.bin', 16 * 1024 ** 2 + 1],
    ["o'é (1)*!.txt", 5],
  ] as const) {
    writeFileSync(file, randomBytes(bytes))
    await bucket.send(file, key)
    assert.is(await bucket.sha256(key), await sha256Of(file), key)
    const copy = path.join(root, 'copy')
    assert.is(await bucket.fetch(key, copy), await sha256Of(file), key)
    assert.is(await sha256Of(copy), await sha256Of(file), key)
  }
  assert.not.match((await uploads()) ?? '', '<Upload>')
  assert.equal(await bucket.list(''), ['empty', 'in parts/odd%27name.bin', "o'é (1)*!.txt"])
  await bucket.write('empty', 'text é')
  assert.is(await bucket.read('empty', 100), 'text é')
  await bucket.remove('empty')
  assert.equal([await bucket.read('empty', 100), await bucket.sha256('empty')], [undefined, undefined])
  // More than a server lists at once.
  const many = Array.from({ length: 1_100 }, (_, index) => `many/${String(index).padStart(4, '0')}`)
  mkdirSync(path.join(folder, 'many'))
  for (const key of many) writeFileSync(path.join(folder, key), '')
  assert.equal(await bucket.list('many/'), many)
  assert.equal(await bucket.names(), ['in parts', 'many'])
})
buckets.run()

const archives = suite('an archive in a bucket')
archives.before.each(fill)

archives('moves days out of the table, and restores them exactly', async () => {
  const { address, folder } = newPrefix()
  const before = await contents()
  const due = await archive(address, ['--dry-run'])
  assert.equal([due.exitCode, Object.values(due.days), filesOf(folder)], [0, ['due', 'due', 'due'], []])
  const kept = await archive(address, ['--keep'])
  assert.equal([kept.exitCode, kept.codes, Object.values(kept.days)], [0, [], ['written', 'written', 'written']])
  assert.equal(await contents(), before)
  const done = await archive(`${address}/`)
  assert.equal([done.exitCode, done.codes, Object.values(done.days)], [0, [], ['proven', 'proven', 'proven']])
  assert.is(done.dropped.length, 3)
  assert.is((await readRows(client, 'SELECT 1 FROM market_metrics LIMIT 1')).length, 0)
  assert.equal(
    filesOf(folder).sort(),
    [...DAYS.map((day) => `market_metrics/${day}.parquet`), 'market_metrics/manifest.jsonl'].sort(),
  )
  const back = await restore(address)
  assert.equal([back.exitCode, back.codes, Object.values(back.days)], [0, [], ['restored', 'restored', 'restored']])
  assert.equal(await contents(), before)
  assert.equal(leftHere(), [])
  // A folder with the same files is the same archive.
  assert.equal(Object.values((await restore(folder)).days), ['present', 'present', 'present'])
})

archives('resumes after a kill at any moment', async () => {
  const { address } = newPrefix()
  const before = await contents()
  for (const line of [`${DAYS[2]}: writing`, 'dropping']) {
    assert.is((await archive(address, ['--yes'], killOn(line))).exitCode, null, line)
  }
  const done = await archive(address)
  assert.equal([done.exitCode, done.codes], [0, []])
  assert.is((await restore(address, killOn('restoring'))).exitCode, null)
  assert.equal((await restore(address)).codes, [])
  assert.equal(await contents(), before)
  assert.equal(leftHere(), [])
})

archives('that was changed keeps its rows in the table', async () => {
  const { address, folder } = newPrefix()
  await archive(address, ['--keep'])
  const before = await contents()
  appendFileSync(path.join(folder, 'market_metrics', `${DAYS[1]}.parquet`), 'x')
  const damaged = await archive(address)
  assert.equal([damaged.exitCode, damaged.codes, damaged.dropped.length], [1, ['ARCHIVE_DAMAGED'], 2])
  assert.match(damaged.findings[0]?.subject ?? '', `${address}/market_metrics/${DAYS[1]}.parquet`)
  const back = await restore(address)
  assert.equal([back.exitCode, back.codes], [1, ['RESTORE_DAMAGED']])
  assert.equal(back.days, { [`${DAYS[0]}`]: 'restored', [`${DAYS[1]}`]: 'refused', [`${DAYS[2]}`]: 'restored' })
  assert.equal(await contents(), before)
})

archives('drops nothing when the server refuses or does not answer', async () => {
  const { address } = newPrefix()
  const before = await contents()
  const silent = createServer(() => {})
  const [port = 0] = await freePorts(1)
  await new Promise<void>((resolve) => silent.listen(port, '127.0.0.1', resolve))
  const cases: [more: NodeJS.ProcessEnv, to: string, expected: [number, string[]]][] = [
    [{ S3_SECRET_ACCESS_KEY: 'wrong-horse' }, address, [2, ['S3_REFUSED']]],
    [{ S3_ACCESS_KEY_ID: '', S3_SECRET_ACCESS_KEY: '' }, address, [2, ['S3_SETTING', 'S3_SETTING']]],
    [{ S3_ENDPOINT: '', S3_REGION: '' }, address, [2, ['S3_SETTING']]],
    [{ S3_ENDPOINT: 'ftp://127.0.0.1' }, address, [2, ['SETTING']]],
    [{}, 's3://no-such-bucket/here', [2, ['S3_BUCKET']]],
    [{}, 's3://Not_a_bucket', [2, ['USAGE']]],
    [{ S3_ENDPOINT: 'http://127.0.0.1:1' }, address, [3, ['S3_UNREACHABLE']]],
    [{ S3_ENDPOINT: `http://127.0.0.1:${port}` }, address, [3, ['S3_UNREACHABLE']]],
  ]
  for (const [more, to, expected] of cases) {
    const { exitCode, codes, findings } = await archive(to, ['--yes', '--timeout', '5'], { env: { ...env, ...more } })
    assert.equal([exitCode, codes], expected, `${JSON.stringify(more)} ${to}`)
    for (const { subject, found } of findings) assert.not.match(`${subject} ${found}`, 'l2-tests')
  }
  silent.close()
  assert.equal(await contents(), before)
})
archives.run()

const backups = suite('a backup in a bucket')
const target = newPrefix()
backups.before(fill)

backups('restores the database after a kill at any moment', async () => {
  const before = await contents()
  const odd = "own_log (a UInt8, `odd'name` String) ENGINE = Log"
  await client.command({ query: `CREATE TABLE ${odd}` })
  await client.command({ query: "INSERT INTO own_log VALUES (1, 'x')" })
  const to = ['--to', target.address]
  assert.equal((await command('backup', [...to, '--dry-run'])).codes, [])
  assert.equal(filesOf(target.folder), [])
  assert.is((await command('backup', to, killOn('Storing it'))).exitCode, null)
  // In transfer from another machine. It must not be touched.
  const other = `${settings.CLICKHOUSE_DB}-20260101T000000Z`
  const bucket = await openBucket(settings, target.address, 60_000)
  await bucket.write(`${other}/unfinished`, 'another machine\n')
  // What a kill leaves behind while files are being sent.
  const unfinished = `${settings.CLICKHOUSE_DB}-20260102T000000Z`
  await bucket.write(`${unfinished}/unfinished`, `${hostname()} ${staged[1]}\n`)
  await bucket.write(`${unfinished}/data/metadata/l2.sql`, 'half')
  assert.equal((await restoreBackup(target.address)).codes, ['BACKUP_NOTHING'])
  const done = await command('backup', to)
  assert.equal([done.exitCode, done.codes], [0, []])
  assert.equal(await bucket.names(), [other, done.backup])
  assert.equal(
    (await bucket.list(`${done.backup}/`)).filter((key) => !key.includes('/data/')),
    [`${done.backup}/manifest.json`],
  )
  assert.equal(leftHere(), [])

  await server.command({ query: `DROP DATABASE ${settings.CLICKHOUSE_DB} SYNC` })
  const due = await restoreBackup(target.address, ['--dry-run'])
  assert.equal([due.exitCode, due.codes, due.tables], [0, [], ['due']])
  assert.is((await restoreBackup(target.address, [], killOn('Copying it'))).exitCode, null)
  const back = await restoreBackup(target.address)
  assert.equal([back.exitCode, back.codes], [0, []])
  assert.equal(await contents(), before)
  assert.equal(await readRows(client, 'SELECT * FROM own_log'), [{ a: 1, "odd'name": 'x' }])
  assert.equal(leftHere(), [])
  // A folder with the same files is the same backup.
  const folder = await command('restore', ['--backup', done.backup, '--from', target.folder])
  assert.equal([folder.exitCode, folder.codes], [0, []])
  assert.equal(await contents(), before)
})

backups('that was changed is refused before anything is changed', async () => {
  const [file = ''] = filesOf(target.folder).filter((name) => name.endsWith('.bin'))
  appendFileSync(path.join(target.folder, file), 'x')
  await server.command({ query: `DROP DATABASE ${settings.CLICKHOUSE_DB} SYNC` })
  for (const more of [['--dry-run'], []]) {
    const { exitCode, codes } = await restoreBackup(target.address, more)
    assert.equal([exitCode, codes], [1, ['BACKUP_DAMAGED']])
  }
  const nothing = await restoreBackup(newPrefix().address)
  assert.equal([nothing.exitCode, nothing.codes], [2, ['BACKUP_NOTHING']])
  const refused = await restoreBackup(target.address, [], { env: { ...env, S3_SECRET_ACCESS_KEY: 'wrong-horse' } })
  assert.equal([refused.exitCode, refused.codes], [2, ['S3_REFUSED']])
  assert.equal(await readRows(server, `SELECT 1 FROM databases WHERE name = '${settings.CLICKHOUSE_DB}'`), [])
})

backups.after(async () => {
  await client.close()
  await server.close()
  await stack.stop()
  await s3.stop()
  rmSync(root, { recursive: true })
})
backups.run()
