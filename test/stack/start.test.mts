/**
 * `npm start` and `npm stop` as users run them, in a fresh clone without installed packages, whose path contains a space and an ampersand.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import kafkajs from 'kafkajs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Finding } from '../../scripts/lib/common/findings.mts'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { type CommandOptions, type Outcome, runFile } from '../support/command.mts'
import { ALL } from '../support/embedded.mts'
import { freePorts, KAFKA_MODE, stackEnv } from '../support/stack.mts'

const folder = mkdtempSync(path.join(tmpdir(), 'l2 & copy '))
const copy = path.join(folder, 'stack')
const CLICKHOUSE_PASSWORD = 'c"l\'ick<&>$ö secret'
const REDIS_PASSWORD = 'r"e\'dis<&>$ö_secret'

const env: NodeJS.ProcessEnv = {
  // Empty means unset: the default is the clone's own folder.
  ...(await stackEnv({ CLICKHOUSE_PASSWORD, REDIS_PASSWORD, EMBEDDED_UI: 'on', EMBEDDED_DATA_DIR: '' })),
  // No engine answers there, whatever this machine has.
  DOCKER_HOST: 'unix:///nonexistent/docker.sock',
  NO_COLOR: '1',
}
const data = path.join(copy, '.embedded', 'data')
const outputs: string[] = []

async function run(file: string, args: string[], options: CommandOptions = {}): Promise<Outcome> {
  const outcome = await runFile(file, args, { cwd: copy, ...options, env: { ...env, ...options.env } })
  outputs.push(outcome.stdout, outcome.stderr)
  return outcome
}

const script = (name: string, args: string[], options?: CommandOptions) =>
  run(path.join(copy, 'scripts', name), args, options)

/** Returns the exit code of a command, and the object that it printed on stdout, which must be all of its stdout. */
async function json(name: string, args: string[], options?: CommandOptions) {
  const { exitCode, stdout } = await script(name, [...args, '--json'], options)
  const object = JSON.parse(stdout)
  assert.equal([object.version, object.exitCode], [1, exitCode])
  return object
}

/** Creates a folder to use as the PATH, with only these programs and what the shell scripts need. */
function pathOf(...programs: string[]): string {
  const bin = mkdtempSync(path.join(folder, 'bin-'))
  const folders = (process.env.PATH ?? '').split(':')
  for (const program of ['env', 'true', 'sh', 'dirname', 'readlink', ...programs]) {
    const found = folders.map((each) => path.join(each, program)).find((file) => existsSync(file))
    if (found) symlinkSync(realpathSync(found), path.join(bin, program))
  }
  return bin
}

function isOpen(port: string | undefined): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(Number(port), '127.0.0.1', () => socket.end())
    socket.on('error', () => resolve(false))
    socket.on('close', () => resolve(true))
  })
}

const OPENED = [
  KAFKA_MODE === 'kraft' ? 'KAFKA_CONTROLLER_PORT' : 'ZOOKEEPER_CLIENT_PORT',
  'KAFKA_LISTENER_PORT',
  'CLICKHOUSE_HTTP_PORT',
  'REDIS_PORT',
  'KAFKA_UI_PORT',
]
const openPorts = async () => (await Promise.all(OPENED.map((name) => isOpen(env[name])))).filter(Boolean).length

const bare = suite('commands in a fresh clone')

bare.before(() => {
  const leaveOut = ['node_modules', '.git', '.embedded', '.env'].map((name) => path.join(ROOT, name))
  cpSync(ROOT, copy, { recursive: true, filter: (source) => !leaveOut.includes(source) })
  mkdirSync(path.join(copy, '.embedded'))
})

for (const name of ['start.mts', 'stop.mts', 'health-check.mts', 'create-topics.mts']) {
  bare(`${name} reports that nothing is installed`, async () => {
    const { exitCode, stdout, stderr } = await script(name, [])
    assert.equal([exitCode, stdout], [3, ''])
    assert.is(
      stderr,
      `Cannot run ${name}: found no installed packages, expected them in ${copy}/node_modules. Run: npm ci --prefix '${copy}'\n`,
    )
  })
}

bare('a command reports that there is no Node.js', async () => {
  const { exitCode, stderr } = await script('start.mts', [], { env: { PATH: pathOf() } })
  assert.is(exitCode, 3)
  assert.match(stderr, /^Cannot run start\.mts: found no node on the PATH, expected Node\.js 20/)
})

const start = suite('npm start')

start('installs, starts, creates tables and topics, and prints all addresses', async () => {
  // Shares the repository's downloads of 650 MB.
  symlinkSync(path.join(ROOT, '.embedded', 'cache'), path.join(copy, '.embedded', 'cache'))
  const { exitCode, stdout, stderr } = await run('npm', ['start'])
  assert.is(exitCode, 0, stderr)
  assert.match(stderr, `Starting the embedded stack (no Docker engine answers); data in ${data}`)
  for (const service of ALL) {
    assert.match(stderr, new RegExp(`^  ${service} +ready in \\d+\\.\\d s$`, 'm'))
    assert.match(stdout, new RegExp(`^${service} +healthy +\\d+ ms  `, 'm'))
  }
  assert.match(stdout, new RegExp(`^ui +healthy +\\d+ ms +http://127.0.0.1:${env.KAFKA_UI_PORT}$`, 'm'))
  assert.match(stdout, new RegExp(`^Page +http://127.0.0.1:${env.KAFKA_UI_PORT}$`, 'm'))
  assert.not.match(stdout, 'kafka-ui')
  assert.match(stdout, `http://127.0.0.1:${env.CLICKHOUSE_HTTP_PORT}/play`)
  assert.match(stdout, 'Stop: npm stop')
  assert.is(await openPorts(), 5)
})

start('provides five topics and four tables to any client', async () => {
  const admin = new kafkajs.Kafka({ brokers: [`127.0.0.1:${env.KAFKA_LISTENER_PORT}`] }).admin()
  await admin.connect()
  const topics = (await admin.listTopics()).filter((name) => !name.startsWith('__')).sort()
  await admin.disconnect()
  const five = ['iqfeed.l2.raw', 'iqfeed.quotes.raw', 'iqfeed.trades.raw', 'market.features', 'trading.signals']
  assert.equal(topics, five)
  const login = Buffer.from(`l2_user:${CLICKHOUSE_PASSWORD}`).toString('base64')
  const count = async (table: string) => {
    const query = encodeURIComponent(`SELECT count() FROM l2_market_data.${table}`)
    const url = `http://127.0.0.1:${env.CLICKHOUSE_HTTP_PORT}/?query=${query}`
    return (await (await fetch(url, { headers: { Authorization: `Basic ${login}` } })).text()).trim()
  }
  for (const table of ['market_ticks', 'market_l1', 'market_l2', 'market_metrics']) assert.is(await count(table), '0')
})

start('changes nothing the second time, and says so', async () => {
  const records = () => ALL.map((name) => readFileSync(path.join(data, 'run', `${name}.json`), 'utf8'))
  const before = records()
  const { exitCode, stdout, stderr } = await run('npm', ['start'])
  assert.is(exitCode, 0, stderr)
  assert.match(stdout, 'The stack was already running')
  assert.equal(records(), before)
})

start('prints one object with --json, from another directory and through a symlink', async () => {
  const link = path.join(folder, 'begin')
  symlinkSync(path.join(copy, 'scripts', 'start.mts'), link)
  const { exitCode, stdout } = await run(link, ['--json'], { cwd: '/' })
  const { version, mode, wasRunning, findings, services } = JSON.parse(stdout)
  assert.equal([exitCode, version, mode, wasRunning, findings], [0, 1, 'embedded', true, []])
  const states = services.map(({ service, state }: { service: string; state: string }) => `${service} ${state}`)
  const zookeeper = KAFKA_MODE === 'kraft' ? 'zookeeper skipped' : 'zookeeper healthy'
  assert.equal(states, [zookeeper, 'kafka healthy', 'clickhouse healthy', 'redis healthy', 'ui healthy'])
})

start('refuses --docker while the embedded stack holds the ports', async () => {
  const { exitCode, findings } = await json('start.mts', ['--docker'])
  assert.equal([exitCode, findings[0].code, findings[0].hint], [2, 'OTHER_MODE', 'npm stop'])
})

start('reports once why a table or topic is not as declared', async () => {
  const init = path.join(copy, 'clickhouse', 'init', '980_refused.sql')
  const topics = path.join(copy, 'kafka', 'topics.yml')
  const declared = readFileSync(topics, 'utf8')
  writeFileSync(init, 'CREATE TABLE IF NOT EXISTS refused (x UInt8) ENGINE = MergeTree ORDER BY no_such_column\n')
  writeFileSync(topics, declared.replace(/^( *partitions:) 10$/m, '$1 9'))
  const { exitCode, findings } = await json('start.mts', [])
  rmSync(init)
  writeFileSync(topics, declared)
  const reported = findings.map(({ code, subject }: Finding) => `${code} ${subject}`).sort()
  assert.equal([exitCode, reported], [1, ['SCHEMA_FAILED refused', 'TOPIC_CANNOT_SHRINK iqfeed.l2.raw']])
  assert.match(findings.find(({ code }: Finding) => code === 'SCHEMA_FAILED').found, 'no_such_column')
  assert.is((await json('start.mts', [])).exitCode, 0)
})

start('npm stop stops it and keeps the data; then there is nothing to stop', async () => {
  const first = await run('npm', ['stop'])
  assert.is(first.exitCode, 0, first.stderr)
  const ended = new RegExp(`Stopped, data kept:\\n( {2}(${ALL.join('|')}|ui) +stopped\\n){${ALL.length + 1}}$`)
  assert.match(first.stdout, ended)
  assert.is(await openPorts(), 0)
  assert.ok(existsSync(path.join(data, 'redis')))
  const { exitCode, stopped, findings } = await json('stop.mts', [])
  assert.equal([exitCode, stopped, findings], [0, 0, []])
  assert.match((await run('npm', ['stop'])).stdout, /Nothing was running\n$/)
})

for (const signal of ['SIGINT', 'SIGKILL'] as const) {
  start(`completes a start that ${signal} interrupted`, async () => {
    let sent = false
    const watch = (stderr: string, pid: number) => {
      if (sent || !stderr.includes('redis      ready')) return
      sent = true
      process.kill(pid, signal)
    }
    const { exitCode } = await script('start.mts', ['--embedded'], { watch })
    assert.equal([sent, exitCode], [true, null])
    assert.is((await json('start.mts', ['--embedded'])).exitCode, 0)
    assert.is(await openPorts(), 5)
    assert.is((await script('stop.mts', [])).exitCode, 0)
  })
}

start('started twice at once: one does the work, the other waits for nothing and breaks nothing', async () => {
  const both = await Promise.all([json('start.mts', ['--embedded']), json('start.mts', ['--embedded'])])
  const codes = both.map(({ exitCode, findings }) => `${exitCode} ${findings[0]?.code ?? ''}`).sort()
  assert.equal(codes, ['0 ', '3 BUSY'])
  const { exitCode, wasRunning } = await json('start.mts', [])
  assert.equal([exitCode, wasRunning], [0, true])
  assert.is((await script('stop.mts', [])).exitCode, 0)
})

start('names a taken port and leaves nothing running', async () => {
  const [port = 0] = await freePorts(1)
  const holder = createServer().listen(port, '127.0.0.1')
  const { exitCode, findings } = await json('start.mts', ['--embedded'], { env: { REDIS_PORT: String(port) } })
  holder.close()
  assert.is(exitCode, 1)
  assert.is(findings.length, 1)
  assert.equal([findings[0].code, findings[0].subject], ['PORT_TAKEN', `port ${port} (redis)`])
  assert.match(findings[0].found, `PID ${process.pid}`)
  assert.match(findings[0].hint, 'REDIS_PORT=')
  assert.is(await openPorts(), 0)
})

/** Returns the folder of that Node.js version, from npm, or undefined if npm cannot download it. */
async function nodeFolder(version: number | string): Promise<string | undefined> {
  const { exitCode, stdout } = await runFile('npx', ['-y', `node@${version}`, '-p', 'process.execPath'], {
    cwd: folder,
    timeoutMs: 180_000,
  })
  return exitCode === 0 ? path.dirname(stdout.trim()) : undefined
}

const old = await nodeFolder('20.11.1')
const withOld = old ? start : start.skip
withOld('reports the required version if Node.js is too old', async () => {
  const { exitCode, stderr } = await script('start.mts', [], { env: { PATH: `${old}:${process.env.PATH}` } })
  assert.is(exitCode, 3)
  assert.is(stderr, 'Cannot run start.mts: found Node.js 20.11.1, expected 20.12 or newer (https://nodejs.org)\n')
})

for (const version of [22, 24]) {
  const bin = await nodeFolder(version)
  const test = bin ? start : start.skip
  test(`and stop run on Node.js ${version}, ClickHouse's process too`, async () => {
    const PATH = `${bin}:${process.env.PATH}`
    const started = await script('start.mts', ['--embedded'], { env: { PATH } })
    assert.is(started.exitCode, 0, started.stderr)
    assert.not.match(started.stderr, /warning/i)
    const { pid } = JSON.parse(readFileSync(path.join(data, 'run', 'clickhouse.json'), 'utf8'))
    assert.is(realpathSync(`/proc/${pid}/exe`), realpathSync(path.join(bin as string, 'node')))
    const stopped = await script('stop.mts', [], { env: { PATH } })
    assert.equal([stopped.exitCode, stopped.stderr], [0, ''])
  })
}

const tools = suite('requirements of npm start')

const missing = async (programs: string[], args: string[]) => {
  const { exitCode, findings } = await json('start.mts', args, { env: { PATH: pathOf('node', ...programs) } })
  assert.is(findings.length, 1)
  return { exitCode, ...findings[0] }
}

tools('without Java, says how to install it', async () => {
  const { exitCode, code, hint } = await missing([], [])
  assert.equal([exitCode, code], [3, 'NO_JAVA'])
  assert.match(hint, /^sudo apt-get install openjdk-17-jre-headless/)
})

tools('without Maven, says so if its part is missing, and cleans up after a killed download', async () => {
  const cache = path.join(copy, '.embedded', 'cache')
  rmSync(cache)
  mkdirSync(path.join(cache, 'jars-0.4194303.tmp'), { recursive: true })
  const { exitCode, code, hint } = await missing(['java'], [])
  assert.equal([exitCode, code], [3, 'NO_MVN'])
  assert.match(hint, /^sudo apt-get install maven/)
  assert.equal(readdirSync(cache), [])
})

tools('--docker without Docker, or without an engine, says so', async () => {
  for (const [programs, found] of [
    [[], 'no docker on the PATH'],
    [['docker'], 'no Docker engine answers'],
  ] as const) {
    if (programs.length > 0 && !existsSync(path.join(pathOf(...programs), 'docker'))) continue
    const finding = await missing([...programs], ['--docker'])
    assert.equal([finding.exitCode, finding.code, finding.found], [3, 'NO_DOCKER', found])
    assert.match(finding.hint, 'npm start -- --embedded')
  }
})

tools('started nothing in the process', () => {
  assert.not.ok(existsSync(path.join(data, 'run', 'lock')))
})

const flags = suite('flags of start and stop')

for (const name of ['start.mts', 'stop.mts']) {
  flags(`${name} --help explains flags and exit codes on stdout`, async () => {
    const { exitCode, stdout, stderr } = await script(name, ['--help'])
    assert.equal([exitCode, stderr], [0, ''])
    assert.match(
      stdout,
      /^Usage: npm (start|stop) -- \[options\]\n[\s\S]*--json[\s\S]*Exit codes:\n {2}0 [\s\S]*Example: npm/,
    )
  })

  flags(`${name} refuses an unknown flag and an argument`, async () => {
    const { exitCode, stdout, stderr } = await script(name, ['--dokcer', 'now'])
    assert.equal([exitCode, stdout], [2, ''])
    assert.match(stderr, '--dokcer: unknown flag')
    assert.match(stderr, 'argument "now"')
    const object = await json(name, ['--dokcer'])
    assert.equal([object.exitCode, object.findings[0].code], [2, 'USAGE'])
  })

  flags(`${name} refuses a wrong setting`, async () => {
    const { exitCode, findings } = await json(name, [], { env: { REDIS_PORT: '0', CLICKHOUSE_USER: 'default' } })
    const subjects = findings.map(({ subject }: { subject: string }) => subject)
    assert.equal([exitCode, ...subjects], [2, 'shell CLICKHOUSE_USER', 'shell REDIS_PORT'])
  })
}

flags('start refuses --docker with --embedded', async () => {
  const { exitCode, findings } = await json('start.mts', ['--docker', '--embedded'])
  assert.equal([exitCode, findings[0].subject], [2, '--docker --embedded'])
})

flags('no output of any run contained a password', () => {
  assert.ok(outputs.length > 40)
  for (const secret of [CLICKHOUSE_PASSWORD, REDIS_PASSWORD, 'secret']) {
    assert.not.ok(outputs.join('\n').includes(secret), secret)
  }
})

flags.after(async () => {
  await runFile(path.join(copy, 'scripts', 'stop.mts'), [], { env })
  rmSync(folder, { recursive: true, force: true })
})

bare.run()
start.run()
tools.run()
flags.run()
