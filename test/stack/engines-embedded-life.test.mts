/**
 * Starting, stopping and repairing: healthy services are left alone, dead or hanging ones are replaced, other processes are not touched.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { bornAt, type ProcessRecord } from '../../scripts/lib/engines/embedded/processes.mts'
import type { EmbeddedName } from '../../scripts/lib/engines/service.mts'
import { openCluster } from '../../scripts/lib/kafka/cluster.mts'
import type { Settings } from '../../scripts/lib/settings/settings.mts'
import {
  ALL,
  BROKER,
  endStacks,
  failureOf,
  installed,
  newStack,
  pids,
  redisKey,
  start,
  stop,
} from '../support/embedded.mts'

function signal(settings: Settings, name: NodeJS.Signals, ...services: EmbeddedName[]): void {
  const running = pids(settings)
  for (const service of services) process.kill(running[service] as number, name)
}

const recordFile = (settings: Settings, name: string) => path.join(settings.EMBEDDED_DATA_DIR, 'run', `${name}.json`)

function forge(settings: Settings, record: Omit<ProcessRecord, 'log'>): void {
  mkdirSync(path.join(settings.EMBEDDED_DATA_DIR, 'run'), { recursive: true })
  writeFileSync(recordFile(settings, record.name), JSON.stringify({ ...record, log: '/dev/null' }))
}

function otherProcess(): { pid: number; end: () => void } {
  const child = spawn('sleep', ['300'])
  return { pid: child.pid as number, end: () => child.kill('SIGKILL') }
}

const life = suite('embedded start')
let full: Settings

life.before(async () => {
  full = await newStack()
  await start(full)
})

life.after(endStacks)

life('leaves running services alone', async () => {
  const before = pids(full)
  assert.equal(await start(full), Object.fromEntries(ALL.map((name) => [name, 'already running'])))
  assert.equal(pids(full), before)
})

for (const killed of [
  ['redis'],
  ['clickhouse'],
  ['kafka'],
  ...(BROKER.includes('zookeeper') ? [['zookeeper'], BROKER] : []),
] as EmbeddedName[][]) {
  life(`replaces only ${killed.join(' and ')} after kill -9`, async () => {
    const before = pids(full)
    signal(full, 'SIGKILL', ...killed)
    const states = await start(full)
    for (const name of ALL) {
      assert.is(states[name], killed.includes(name) ? 'started' : 'already running', name)
      assert.is(pids(full)[name] === before[name], !killed.includes(name), name)
    }
    const cluster = await openCluster(full, { timeoutMs: 30_000 })
    cluster.close()
  })
}

life('replaces services that hang', async () => {
  await redisKey(full, 'kept')
  const before = pids(full)
  signal(full, 'SIGSTOP', ...ALL)
  // Other threads may answer until the first thread has received the signal.
  const isHalted = (name: EmbeddedName) => /\) T /.test(readFileSync(`/proc/${before[name]}/stat`, 'utf8'))
  assert.ok(await waitUntil(async () => ALL.every(isHalted), { timeoutMs: 10_000, pollMs: 10 }))
  assert.equal(await start(full), Object.fromEntries(ALL.map((name) => [name, 'started'])))
  for (const name of ALL) {
    assert.is.not(pids(full)[name], before[name], name)
    assert.is(bornAt(before[name] as number), undefined, name)
  }
  assert.is(await redisKey(full), 'kept')
})

life('keeps two stacks separate, and stop stops only its own', async () => {
  const [one, two] = await Promise.all([newStack(), newStack()])
  await Promise.all([start(one, ['redis']), start(two, ['redis'])])
  await redisKey(one, 'of one')
  assert.is(await redisKey(two), null)
  assert.equal(await stop(one), [{ name: 'redis', how: 'stopped' }])
  assert.is(await redisKey(two), null)
  assert.equal(pids(one), {})
  assert.equal(await stop(one), [])
})

life('spares another process that has the PID of a record', async () => {
  const settings = await newStack()
  const other = otherProcess()
  forge(settings, { name: 'redis', pid: other.pid, born: `${bornAt(other.pid)}0` })
  assert.equal(await stop(settings), [{ name: 'redis', how: 'was not running' }])
  forge(settings, { name: 'redis', pid: other.pid, born: 'never' })
  assert.equal(await start(settings, ['redis']), { redis: 'started' })
  assert.is.not(pids(settings).redis, other.pid)
  assert.is.not(bornAt(other.pid), undefined)
  // The counterpart: with the correct start time, the record is used.
  await stop(settings)
  forge(settings, { name: 'redis', pid: other.pid, born: bornAt(other.pid) as string })
  assert.equal(await stop(settings), [{ name: 'redis', how: 'stopped' }])
  assert.is(bornAt(other.pid), undefined)
  other.end()
})

life('starts despite the record of an ended process', async () => {
  const settings = await newStack()
  forge(settings, { name: 'redis', pid: 4_194_303, born: 'never' })
  assert.equal(await start(settings, ['redis']), { redis: 'started' })
})

life('refuses a second start of the same stack during the first', async () => {
  const settings = await newStack()
  const first = start(settings, ['redis'])
  const { exitCode, code, found } = await failureOf(start(settings, ['redis']))
  assert.equal([exitCode, code], [3, 'BUSY'])
  assert.match(found, `PID ${process.pid}`)
  assert.equal(await first, { redis: 'started' })
  assert.equal(await start(settings, ['redis']), { redis: 'already running' })
})

life('reports a data folder that it cannot write to', async () => {
  const settings = await newStack()
  // Not with permissions, because tests may run as root.
  const run = path.join(settings.EMBEDDED_DATA_DIR, 'run')
  writeFileSync(run, 'a file, where a folder should be')
  const { exitCode, code, found } = await failureOf(start(settings, ['redis']))
  rmSync(run)
  assert.equal([exitCode, code], [3, 'DATA_DIR'])
  assert.match(found, /^this user cannot use the folder \(E[A-Z]+: /)
})

life('takes over the lock of a killed start, even if another process has its PID', async () => {
  const settings = await newStack()
  const other = otherProcess()
  const lock = path.join(settings.EMBEDDED_DATA_DIR, 'run', 'lock')
  mkdirSync(path.dirname(lock))
  for (const holder of ['4194303 never', `${other.pid} never`]) {
    writeFileSync(lock, holder)
    await start(settings, ['redis'])
    assert.not.ok(existsSync(lock))
  }
  writeFileSync(lock, `${other.pid} ${bornAt(other.pid)}`)
  assert.is((await failureOf(start(settings, ['redis']))).code, 'BUSY')
  assert.is((await failureOf(stop(settings))).code, 'BUSY')
  rmSync(lock)
  other.end()
})

for (const [title, make] of [
  ['empty', (file) => writeFileSync(file, '')],
  ['cut', (file) => writeFileSync(file, String(process.pid))],
  ['garbage', (file) => writeFileSync(file, 'no\0lock at all')],
  ['a folder', (file) => mkdirSync(path.join(file, 'more'), { recursive: true })],
  ['a FIFO', (file) => execFileSync('mkfifo', [file])],
  ['a link that leads nowhere', (file) => symlinkSync('4194303 never', file)],
  ['larger than a lock can be', (file) => writeFileSync(file, Buffer.alloc(1e6))],
] as [string, (file: string) => void][]) {
  life(`takes over a lock that is ${title}, at start and stop`, async () => {
    const settings = await newStack()
    const lock = path.join(settings.EMBEDDED_DATA_DIR, 'run', 'lock')
    mkdirSync(path.dirname(lock))
    make(lock)
    assert.equal(await start(settings, ['redis']), { redis: 'started' })
    make(lock)
    assert.equal(await stop(settings), [{ name: 'redis', how: 'stopped' }])
    assert.equal(readdirSync(path.dirname(lock)), [])
  })
}

life('treats an empty, truncated or invalid record as that of an ended process', async () => {
  const settings = await newStack()
  const run = path.join(settings.EMBEDDED_DATA_DIR, 'run')
  mkdirSync(run)
  const broken = [
    '',
    '{"name":"redis","pid":',
    '{}',
    'null',
    '7',
    '[]',
    '{"pid":"1","born":"x"}',
    '{"pid":1e99,"born":"x"}',
  ]
  for (const [index, text] of broken.entries()) writeFileSync(path.join(run, `broken${index}.json`), text)
  symlinkSync('/nonexistent', path.join(run, 'dangling.json'))
  execFileSync('mkfifo', [path.join(run, 'fifo.json')])
  assert.equal(await start(settings, ['redis']), { redis: 'started' })
  const stopped = await stop(settings)
  assert.equal(
    stopped.filter(({ how }) => how === 'stopped'),
    [{ name: 'redis', how: 'stopped' }],
  )
  assert.is(stopped.filter(({ how }) => how === 'was not running').length, broken.length + 2)
  assert.equal(readdirSync(run), [])
})

life('recognizes the process of a record without a name', async () => {
  const settings = await newStack()
  await start(settings, ['redis'])
  const { pid, born } = JSON.parse(readFileSync(recordFile(settings, 'redis'), 'utf8'))
  writeFileSync(recordFile(settings, 'redis'), JSON.stringify({ pid, born }))
  assert.equal(await start(settings, ['redis']), { redis: 'already running' })
  assert.equal(await stop(settings), [{ name: 'redis', how: 'stopped' }])
})

life('runs in folders with non-ASCII letters and backslashes, and writes nowhere else', async () => {
  const root = mkdtempSync(path.join(tmpdir(), 'l2-odd-'))
  const folder = path.join(root, 'jürgen €🙂 a\\b')
  mkdirSync(folder)
  const settings = await newStack({ EMBEDDED_DATA_DIR: path.join(folder, 'dätä') })
  symlinkSync(path.dirname(installed.jars[0] as string), path.join(folder, 'järs'))
  const jars = installed.jars.map((jar) => path.join(folder, 'järs', path.basename(jar)))
  const archives = { folder: path.join(folder, 'archives'), existing: [] }
  await start(settings, BROKER, { ...installed, jars, archives })
  await stop(settings)
  assert.equal(readdirSync(root), [path.basename(folder)])
  assert.equal(readdirSync(folder).sort(), ['dätä', 'järs'])
  for (const name of BROKER) assert.ok(existsSync(path.join(settings.EMBEDDED_DATA_DIR, name)), name)
  rmSync(root, { recursive: true })
})

const mounts = process.getuid?.() === 0 && spawnSync('unshare', ['--mount', 'true']).status === 0 ? life : life.skip
mounts('stops on a full disk, and a start there says so and leaves nothing running', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'l2-full-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder])
  try {
    const settings = await newStack({ EMBEDDED_DATA_DIR: folder })
    const fill = () => spawnSync('dd', ['if=/dev/zero', `of=${folder}/fill`, 'bs=4096'])
    await start(settings, ['redis'])
    fill()
    assert.equal(await stop(settings), [{ name: 'redis', how: 'stopped' }])
    fill()
    const { exitCode, code } = await failureOf(start(settings, ['redis']))
    assert.equal([exitCode, code], [3, 'DISK_FULL'])
    assert.equal(await stop(settings), [])
    rmSync(path.join(folder, 'fill'))
    assert.equal(await start(settings, ['redis']), { redis: 'started' })
    await stop(settings)
  } finally {
    execFileSync('umount', [folder])
  }
})

life('shares the CDS archives of its JVMs, across file systems too', async () => {
  const cache = mkdtempSync(path.join(tmpdir(), 'l2-archives-'))
  const archives = () => ({ ...installed, archives: { folder: cache, existing: [] as string[] } })
  // In memory if possible: a file system other than that of the temporary folder.
  const folder = existsSync('/dev/shm')
    ? mkdtempSync('/dev/shm/l2-test-')
    : mkdtempSync(path.join(tmpdir(), 'l2-test-'))
  const settings = await newStack({ EMBEDDED_DATA_DIR: folder })
  await start(settings, BROKER, archives())
  await stop(settings)
  const from = archives()
  await start(settings, BROKER, from)
  assert.equal(from.archives.existing.sort(), BROKER.map((name) => `${name}.jsa`).sort())
  const commandLine = readFileSync(`/proc/${pids(settings).kafka}/cmdline`, 'utf8').split('\0')
  assert.ok(commandLine.includes(`-XX:SharedArchiveFile=${cache}/kafka.jsa`))
  await stop(settings)
  rmSync(cache, { recursive: true })
})

life('rejects a CDS archive of another Java', async () => {
  const [before, after] = [1, 2].map(() => mkdtempSync(path.join(tmpdir(), 'l2-archives-'))) as [string, string]
  const settings = await newStack()
  await start(settings, BROKER, { ...installed, archives: { folder: before, existing: [] } })
  await stop(settings)
  const run = path.join(settings.EMBEDDED_DATA_DIR, 'run')
  const written = () =>
    readdirSync(run)
      .filter((file) => file.endsWith('.jsa'))
      .sort()
  const of = (folder: string) => BROKER.map((name) => `${name}.${path.basename(folder)}.jsa`).sort()
  assert.equal(written(), of(before))
  await start(settings, BROKER, { ...installed, archives: { folder: after, existing: [] } })
  assert.equal([readdirSync(after), written()], [[], []])
  await stop(settings)
  assert.equal(written(), of(after))
  for (const folder of [before, after]) rmSync(folder, { recursive: true })
})

life.run()
