/**
 * A `docker` with malformed answers, or one that hangs: a fake program on the PATH, because no engine fails in exactly the way a test
 * needs.
 */
import { chmodSync } from 'node:fs'
import path from 'node:path'
import { suite } from 'uvu'
import { runScript } from '../support/command.mts'
import { expectExit } from '../support/faults.mts'
import { cleanEnv, projectFolder } from '../support/project.mts'
import { freePorts, stackEnv } from '../support/stack.mts'

const container = (more: object, state: object = {}) => ({
  ...{ Id: 'abc', Name: '/l2_kafka', RestartCount: 0, Config: { Labels: { 'com.docker.compose.service': 'kafka' } } },
  State: {
    ...{ Status: 'exited', ExitCode: 1, OOMKilled: false, Error: '' },
    ...{ StartedAt: '2026-11-28T10:00:00Z', FinishedAt: '2026-11-28T10:00:01Z', ...state },
  },
  ...more,
})

const GOOD = JSON.stringify([container({})])
/** Output of `docker inspect`. All other requests get a valid answer. */
const INSPECTED: Record<string, string> = {
  nothing: '',
  'random bytes': '\u0001\u0002[{]]}',
  HTML: '<html>502 Bad Gateway</html>',
  null: 'null',
  'a null container': '[null]',
  'a container of another shape': '[{}]',
  'a null state': JSON.stringify([container({ State: null })]),
  'no labels': JSON.stringify([container({ Config: { Labels: null } })]),
  'null fields': JSON.stringify([
    container({ RestartCount: null }, { Error: null, StartedAt: null, FinishedAt: null, Health: null }),
  ]),
  'odd dates': JSON.stringify([container({}, { StartedAt: 'yesterday', FinishedAt: '9999999999-99-99' })]),
  'a date before all dates': JSON.stringify([container({ RestartCount: 3 }, { FinishedAt: '0001-01-01T00:00:00Z' })]),
  'a null log of its health check': JSON.stringify([container({}, { Health: { Status: null, Log: null } })]),
  'a warning before its answer': `WARNING: Error loading config file: [permission denied]\n${GOOD}`,
  'half an answer': GOOD.slice(0, 100),
}

/**
 * Creates a folder with a `docker` that gives these answers, by its first arguments; `*` for all others. Returns an environment that uses
 * it.
 */
function dockerOf(answers: Record<string, string>): NodeJS.ProcessEnv {
  const cases = Object.entries(answers).map(([words, script]) => `${words === '*' ? '*' : `"${words}"*`}) ${script};;`)
  const folder = projectFolder({ docker: `#!/bin/sh\ncase "$*" in\n${cases.join('\n')}\nesac\n` })
  chmodSync(path.join(folder, 'docker'), 0o755)
  return { PATH: `${folder}:${process.env.PATH}` }
}
const says = (text: string) => `cat <<'END'\n${text}\nEND\n`
const VERSION = { 'version --format': 'echo 27.0.0', 'compose version': 'echo 2.30.0' }

const env = { ...(await stackEnv()), ...cleanEnv({ DOCKER_HOST: '' }) }
const [port = 0] = await freePorts(1)
const values = { ...(await stackEnv()), NO_COLOR: '1', KAFKA_BOOTSTRAP_SERVERS: `127.0.0.1:${port}` }
/** Kills a command after 60 s: longer than any `--timeout` here on a busy machine, shorter than the `sleep` of a hanging docker. */
const run = (script: string, args: string[], docker: NodeJS.ProcessEnv) =>
  runScript(script, args, { env: { ...env, ...values, ...docker }, timeoutMs: 60_000 })

const COMMANDS: [script: string, args: string[], codes: number[]][] = [
  ['health-check.mts', ['--timeout', '1'], [1, 3]],
  ['health-check.mts', ['--timeout', '1', '--deep', '--wait', '1'], [1, 3]],
  ['create-topics.mts', ['--dry-run', '--timeout', '1'], [3]],
  ['stop.mts', [], [0, 1, 3]],
]

const test = suite('Docker with malformed answers')

for (const [what, text] of Object.entries(INSPECTED)) {
  test(`docker inspect returns ${what}`, async () => {
    const docker = dockerOf({ ...VERSION, 'ps -aq': 'echo abc', inspect: says(text), '*': 'echo text' })
    for (const [script, args, codes] of COMMANDS)
      expectExit(`${script} ${args}`, await run(script, args, docker), codes)
  })
}

for (const [what, text] of Object.entries({
  ...INSPECTED,
  'null services': '{"name":"l2","services":null}',
  'null ports': '{"name":"l2","services":{"redis":{"ports":null},"kafka":null}}',
})) {
  test(`docker compose config returns ${what}`, async () => {
    const docker = dockerOf({ ...VERSION, 'compose config': says(text), 'ps -aq': 'true', '*': 'echo text' })
    expectExit('check-ports', await run('check-ports.mts', ['--docker'], docker), [0, 1, 2, 3])
  })
}

test('docker prints nothing, fails silently, or prints text for everything', async () => {
  for (const script of ['true', 'false', 'echo text', 'yes', 'kill -9 $$', 'echo "$*"; exit 1']) {
    const docker = dockerOf({ '*': script })
    for (const [name, args, codes] of COMMANDS) expectExit(`${script}: ${name}`, await run(name, args, docker), codes)
    expectExit(`${script}: check-ports`, await run('check-ports.mts', ['--docker'], docker), [0, 1, 2, 3])
    expectExit(`${script}: start`, await run('start.mts', ['--docker'], docker), [1, 2, 3])
  }
})

test('a hanging docker delays no command beyond its deadline', async () => {
  const asked = projectFolder()
  const docker = dockerOf({ '*': `echo "$*" >> ${asked}/log; exec sleep 300` })
  for (const [script, args, codes] of COMMANDS) expectExit(`${script} ${args}`, await run(script, args, docker), codes)
  expectExit('check-ports', await run('check-ports.mts', ['--docker'], docker), [0, 1, 3])
  expectExit('start', await run('start.mts', ['--docker'], docker), [3])
})

test.run()
