/** `npm stop` with Docker: a fake `docker` on the PATH, because a real engine does not fail on demand. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Finding } from '../../scripts/lib/common/findings.mts'
import { ROOT, readSettings } from '../../scripts/lib/settings/settings.mts'
import { runScript } from '../support/command.mts'
import { newStack, start } from '../support/embedded.mts'
import { projectFolder } from '../support/project.mts'
import { stackEnv } from '../support/stack.mts'

const folder = mkdtempSync(path.join(tmpdir(), 'l2-stop-'))
const calls = path.join(folder, 'calls')
const env = await stackEnv({ PATH: `${folder}:${process.env.PATH}`, NO_COLOR: '1' })

/** Creates a `docker` that runs these shell lines for `ps`, and has one container in `state`. */
function fakeDocker({ ps = 'echo id1', state = 'running', inspect = '' }): void {
  const State = {
    Status: state,
    ExitCode: 0,
    OOMKilled: false,
    Error: '',
    StartedAt: '',
    FinishedAt: '2026-11-23T00:00:00Z',
  }
  const container = { Id: 'id1', Name: '/l2_redis', RestartCount: 0, Config: { Labels: {} }, State }
  const file = path.join(folder, 'docker')
  writeFileSync(
    file,
    `#!/bin/sh
echo "$(pwd -P): $*" >> '${calls}'
case "$1 $2" in
  ps*) ${ps} ;;
  inspect*) echo '${JSON.stringify([container])}'; ${inspect} ;;
  version*) echo 28.2.2 ;;
  'compose version') echo 2.26.1 ;;
  events*|'compose stop') ;;
  *) exit 9 ;;
esac
`,
  )
  chmodSync(file, 0o755)
  rmSync(calls, { force: true })
}

const stops = () =>
  (existsSync(calls) ? readFileSync(calls, 'utf8') : '').split('\n').filter((call) => call.endsWith(': compose stop'))

async function stop(values: NodeJS.ProcessEnv = {}) {
  const { exitCode, stdout, stderr } = await runScript('stop.mts', ['--json'], { env: { ...env, ...values }, cwd: '/' })
  assert.ok(stdout.startsWith('{'), stderr)
  const { stopped, findings } = JSON.parse(stdout) as { stopped?: number; findings: Finding[] }
  return { exitCode, stopped, findings: findings.map(({ code, subject, found }) => `${code} ${subject}: ${found}`) }
}

const containers = suite('npm stop with Docker')

for (const state of ['running', 'restarting', 'paused']) {
  containers(`stops a stack that is ${state}, from any folder`, async () => {
    fakeDocker({ state })
    assert.equal(await stop(), { exitCode: 0, stopped: 1, findings: [] })
    assert.equal(stops(), [`${realpathSync(ROOT)}: compose stop`])
  })
}

containers('stops the others when one container vanishes in between', async () => {
  fakeDocker({ inspect: 'echo "Error: No such object: id2" >&2; exit 1' })
  assert.equal([(await stop()).exitCode, stops().length], [0, 1])
})

containers('has nothing to stop if all have ended, or no engine runs', async () => {
  const notRunning = 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?'
  for (const fake of [{ state: 'exited' }, { ps: '' }, { ps: `echo "${notRunning}" >&2; exit 1` }]) {
    fakeDocker(fake)
    assert.equal(await stop(), { exitCode: 0, stopped: 0, findings: [] })
    assert.equal(stops(), [])
  }
})

const DENIED = 'permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock'

containers('exits 3 when the engine refuses, and reports why', async () => {
  fakeDocker({ ps: `echo "${DENIED}" >&2; exit 1` })
  assert.equal(await stop(), { exitCode: 3, stopped: undefined, findings: [`DOCKER docker ps: ${DENIED}`] })
  fakeDocker({ inspect: 'echo "out of sorts" >&2; exit 1' })
  assert.equal(await stop(), { exitCode: 3, stopped: undefined, findings: ['DOCKER docker inspect: out of sorts'] })
})

containers('exits 3 when the engine does not answer', async () => {
  fakeDocker({ ps: 'exec sleep 60' })
  assert.equal(await stop(), { exitCode: 3, stopped: undefined, findings: ['DOCKER docker ps: no answer within 10 s'] })
})

containers('has stopped everything when the embedded stack ran, whatever the engine reports', async () => {
  fakeDocker({ ps: `echo "${DENIED}" >&2; exit 1` })
  const settings = await newStack()
  await start(settings, ['redis'])
  const outcome = await stop({ EMBEDDED_DATA_DIR: settings.EMBEDDED_DATA_DIR })
  assert.equal(outcome, { exitCode: 0, stopped: 1, findings: [] })
  rmSync(settings.EMBEDDED_DATA_DIR, { recursive: true })
})

containers('health-check works without an engine that refuses', async () => {
  fakeDocker({ ps: `echo "${DENIED}" >&2; exit 1` })
  const { exitCode, stdout } = await runScript('health-check.mts', ['--json', '--only', 'redis'], { env })
  assert.equal([exitCode, JSON.parse(stdout).findings[0].code], [1, 'NO_ANSWER'])
})

const isolation = suite("a test's stack")

isolation('is not redirected by the shell or .env', async () => {
  const foreign = {
    ...{ KAFKA_BOOTSTRAP_SERVERS: 'db.example:9092', CLICKHOUSE_HOST: 'db.example', CLICKHOUSE_PORT: '1' },
    ...{ CLICKHOUSE_DATABASE: 'theirs', REDIS_HOST: 'db.example', CLICKHOUSE_PASSWORD: 'theirs', INGEST: 'on' },
  }
  const template = { '.env.template': readFileSync(path.join(ROOT, '.env.template'), 'utf8') }
  const dotEnv = Object.entries(foreign).map(([name, value]) => `${name}=${value}\n`)
  const before = { ...process.env }
  Object.assign(process.env, foreign)
  const led = await stackEnv()
  for (const name of Object.keys(foreign)) delete process.env[name]
  Object.assign(process.env, before)
  const settings = readSettings(led, projectFolder({ ...template, '.env': dotEnv.join('') }))
  rmSync(settings.EMBEDDED_DATA_DIR, { recursive: true })
  const { CLICKHOUSE_HOST, CLICKHOUSE_PORT, CLICKHOUSE_DATABASE, REDIS_HOST, CLICKHOUSE_PASSWORD, INGEST } = settings
  assert.equal([CLICKHOUSE_HOST, REDIS_HOST], ['127.0.0.1', '127.0.0.1'])
  assert.equal(settings.KAFKA_BOOTSTRAP_SERVERS, [`127.0.0.1:${settings.KAFKA_LISTENER_PORT}`])
  assert.equal([CLICKHOUSE_PORT, CLICKHOUSE_DATABASE], [settings.CLICKHOUSE_HTTP_PORT, settings.CLICKHOUSE_DB])
  assert.equal([CLICKHOUSE_PASSWORD, INGEST], ['l2_secure_pass', 'off'])
})
isolation.run()

containers.after(() => {
  for (const each of [folder, env.EMBEDDED_DATA_DIR ?? folder]) rmSync(each, { recursive: true, force: true })
})
containers.run()
