/** The command check-ports with real sockets. The docker command is a fake where the choice of Docker is tested. */
import { spawn } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Finding } from '../../scripts/lib/common/findings.mts'
import { bornAt } from '../../scripts/lib/engines/embedded/processes.mts'
import type { PortState } from '../../scripts/lib/ports/state.mts'
import { HOST_PORTS, ROOT } from '../../scripts/lib/settings/settings.mts'
import { type Outcome, runFile, runScript } from '../support/command.mts'
import { cleanEnv, hasCompose, projectCopy } from '../support/project.mts'
import { freePorts, HAS_IPV6, sharedStack } from '../support/stack.mts'

type Ports = Record<(typeof HOST_PORTS)[number], number>

interface Prepared {
  ports: Ports
  env: NodeJS.ProcessEnv
  check: (...args: string[]) => Promise<Outcome & { report: { mode: string; ports: PortState[]; findings: Finding[] } }>
}

/** One copy for all tests, because a new one would have to be compiled again. */
const root = projectCopy()

/** Line of .env in which {@link prepare} writes the first of its `settings`, after a comment and the ports. */
const SETTINGS_LINE = HOST_PORTS.length + 2

/** Resets the copy, with an .env that contains free ports and `settings`, and with additional `files`. */
async function prepare(
  settings = '',
  files: Record<string, string> = {},
  env: NodeJS.ProcessEnv = {},
): Promise<Prepared> {
  const free = await freePorts(HOST_PORTS.length)
  const ports = Object.fromEntries(HOST_PORTS.map((name, index) => [name, free[index]])) as Ports
  const lines = HOST_PORTS.map((name) => `${name}=${ports[name]} # of this test`)
  for (const entry of ['docker-compose.override.yml', '.embedded'])
    rmSync(path.join(root, entry), { recursive: true, force: true })
  for (const file of ['docker-compose.yml', '.env.template']) copyFileSync(path.join(ROOT, file), path.join(root, file))
  writeFileSync(path.join(root, '.env'), `# Ports\n${lines.join('\n')}\n${settings}\n`)
  for (const [file, content] of Object.entries(files)) writeFileSync(path.join(root, file), content)
  const all = cleanEnv(env)
  const check = async (...args: string[]) => {
    const outcome = await runFile(path.join(root, 'scripts/check-ports.mts'), args, { env: all, cwd: root })
    return { ...outcome, report: args.includes('--json') ? JSON.parse(outcome.stdout) : undefined }
  }
  return { ports, env: all, check }
}

interface Held {
  pid: number
  end: () => Promise<void>
}

/** Starts a process that holds a port, as `node -e … holder`. */
function hold(host: string, port: number, { udp = false, args = ['holder'] } = {}): Promise<Held> {
  const listen = udp
    ? `require('node:dgram').createSocket('udp4').bind(${port}, '${host}', ready)`
    : `require('node:net').createServer().listen({ host: '${host}', port: ${port} }, ready)`
  const child = spawn(process.execPath, ['-e', `const ready = () => console.log('ready'); ${listen}`, '--', ...args])
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  return new Promise((resolve, reject) => {
    child.stdout.once('data', () =>
      resolve({
        pid: child.pid ?? 0,
        end: () => {
          child.kill('SIGKILL')
          return ended
        },
      }),
    )
    child.once('close', () => reject(new Error(`Cannot hold ${host}:${port}`)))
  })
}

const state = (ports: PortState[], port: number) => ports.find((entry) => entry.port === port)
const codes = (findings: Finding[]) => findings.map(({ severity, code, subject }) => [severity, code, subject])

const command = suite('check-ports')
const withCompose = hasCompose() ? command : command.skip

command('finds every port of the compose file free', async () => {
  const { ports, check } = await prepare()
  const { exitCode, stderr, report } = await check('--docker', '--json')
  assert.equal([exitCode, stderr, report.findings], [0, '', []])
  assert.is(report.mode, 'docker')
  const found = report.ports.map(({ service, variable, address, port, protocol, state: is }) =>
    [service, variable, address, port, protocol, is].join(' '),
  )
  const { KAFKA_INTERNAL_PORT: _, KAFKA_CONTROLLER_PORT: __, ...published } = ports
  const services = {
    ZOOKEEPER: 'zookeeper',
    KAFKA_L: 'kafka',
    CLICKHOUSE: 'clickhouse',
    REDIS: 'redis',
    KAFKA_UI: 'kafka-ui',
  }
  const expected = Object.entries(published).map(([variable, port]) => {
    const [, service] = Object.entries(services).find(([prefix]) => variable.startsWith(prefix)) ?? []
    return `${service} ${variable} 127.0.0.1 ${port} tcp free`
  })
  assert.equal(found.sort(), expected.sort())
})

command(
  'names the owner of a taken port, the next free one and the variable; afterwards it is free again',
  async () => {
    const { ports, check } = await prepare()
    const held = await hold('127.0.0.1', ports.REDIS_PORT)
    try {
      const { exitCode, report } = await check('--json')
      assert.is(exitCode, 1)
      assert.equal(codes(report.findings), [['error', 'PORT_TAKEN', `port ${ports.REDIS_PORT} (redis)`]])
      const { owner, next = 0 } = state(report.ports, ports.REDIS_PORT) ?? {}
      assert.equal([owner?.kind, owner?.pid, owner?.name], ['process', held.pid, 'node'])
      assert.match(owner?.command ?? '', /^\S*node -e .*holder$/)
      assert.ok(next > ports.REDIS_PORT)
      assert.is(
        report.findings[0]?.hint,
        `./scripts/check-ports.mts --write-env (sets REDIS_PORT=${next}), or stop that process`,
      )
      const text = await check()
      assert.is(text.exitCode, 1)
      assert.match(text.stdout, new RegExp(`✗ redis +127.0.0.1:${ports.REDIS_PORT} +tcp  taken\n`))
      assert.match(text.stdout, new RegExp(`taken by node \\(PID ${held.pid}, user \\w+\\): .*holder \\[PORT_TAKEN\\]`))
    } finally {
      await held.end()
    }
    assert.is((await check()).exitCode, 0)
  },
)

for (const [title, host] of [
  ['all of IPv4', '0.0.0.0'],
  ['all of IPv4 and IPv6 in one socket', '::'],
  ['IPv4 through an IPv6 socket, as a JVM does', '::ffff:127.0.0.1'],
] as const) {
  command(`sees a process that listens on ${title}`, async () => {
    const { ports, check } = await prepare()
    const held = await hold(host, ports.CLICKHOUSE_HTTP_PORT)
    try {
      const { exitCode, report } = await check('--json')
      const { state: is, owner } = state(report.ports, ports.CLICKHOUSE_HTTP_PORT) ?? {}
      assert.equal([exitCode, is, owner?.pid], [1, 'taken', held.pid])
    } finally {
      await held.end()
    }
  })
}

const withIpv6 = HAS_IPV6 ? command : command.skip
withIpv6('only warns of a process on ::1, which clients of localhost would reach', async () => {
  const { ports, check } = await prepare()
  const held = await hold('::1', ports.CLICKHOUSE_HTTP_PORT)
  try {
    const { exitCode, report } = await check('--json')
    const subject = `port ${ports.CLICKHOUSE_HTTP_PORT} (clickhouse)`
    assert.equal([exitCode, codes(report.findings)], [0, [['warning', 'PORT_LOCALHOST', subject]]])
    const { state: is, localhostOwner } = state(report.ports, ports.CLICKHOUSE_HTTP_PORT) ?? {}
    assert.equal([is, localhostOwner?.pid], ['free', held.pid])
  } finally {
    await held.end()
  }
})

command('binds only where BIND_ADDRESS says', async () => {
  const { ports, check } = await prepare('BIND_ADDRESS=127.0.0.2')
  const elsewhere = await hold('127.0.0.1', ports.REDIS_PORT)
  const there = await hold('127.0.0.2', ports.KAFKA_UI_PORT)
  try {
    const { report } = await check('--docker', '--json')
    assert.is(state(report.ports, ports.REDIS_PORT)?.state, 'free')
    assert.equal(codes(report.findings), [['error', 'PORT_TAKEN', `port ${ports.KAFKA_UI_PORT} (kafka-ui)`]])
  } finally {
    await Promise.all([elsewhere.end(), there.end()])
  }
})

command('refuses an address that this machine does not have', async () => {
  // Reserved for documentation (RFC 5737).
  const { check } = await prepare('BIND_ADDRESS=192.0.2.1')
  const { exitCode, report } = await check('--docker', '--json')
  assert.is(exitCode, 1)
  assert.is(report.findings.filter(({ code }) => code === 'PORT_ADDRESS').length, 6)
  assert.is(report.findings[0]?.hint, 'edit .env: BIND_ADDRESS=127.0.0.1')
  const shell = await (await prepare('', {}, { BIND_ADDRESS: '192.0.2.1' })).check('--docker', '--json')
  assert.is(shell.report.findings[0]?.hint, 'export BIND_ADDRESS=127.0.0.1')
})

command('warns of ports open to other machines without a custom password', async () => {
  const exposed = async (settings: string) => {
    const { check } = await prepare(`BIND_ADDRESS=0.0.0.0\n${settings}`)
    const { exitCode, stdout, report } = await check('--docker', '--json')
    assert.is(exitCode, 0)
    assert.not.match(stdout, 'l2_secure_pass')
    assert.not.match(stdout, 'hushhush')
    return Object.fromEntries(
      report.findings.map(({ subject, found }) => [
        subject,
        found.replace(/^.*open to other machines with(out)? /, ''),
      ]),
    )
  }
  const plain = { 'BIND_ADDRESS 0.0.0.0': 'TLS: traffic can be read in transit' }
  const open = { zookeeper: 'no password', kafka: 'no password', 'kafka-ui': 'no password', ...plain }
  assert.equal(await exposed(''), {
    ...open,
    clickhouse: 'the default CLICKHOUSE_PASSWORD',
    redis: 'an empty REDIS_PASSWORD',
  })
  assert.equal(await exposed('CLICKHOUSE_PASSWORD=hushhush\nREDIS_PASSWORD=hushhush'), open)
})

withCompose('has no setting for a port that another service publishes to all', async () => {
  const override = 'services:\n  grafana:\n    image: x\n    ports: ["GRAFANA:3000"]\n'
  const [port = 0] = await freePorts(1)
  const { check } = await prepare('', { 'docker-compose.override.yml': override.replace('GRAFANA', String(port)) })
  const { exitCode, report } = await check('--docker', '--json')
  const hint = 'unless it requires a password: edit the ports of grafana in the compose file (127.0.0.1:PORT:PORT)'
  assert.equal(
    [exitCode, report.findings.map((finding) => [finding.subject, finding.found, finding.hint])],
    [0, [['grafana', `*:${port} open to other machines`, hint]]],
  )
})

command('suggests .env only for what the shell does not set, since the shell takes precedence', async () => {
  const hints = async (settings: string, env: NodeJS.ProcessEnv) => {
    const { report } = await (await prepare(settings, {}, env)).check('--embedded', '--json')
    return Object.fromEntries(report.findings.map(({ subject, hint }) => [subject, hint]))
  }
  const inFile = await hints('BIND_ADDRESS=0.0.0.0', {})
  assert.equal([inFile.kafka, inFile.redis], ['edit .env: BIND_ADDRESS=127.0.0.1', 'npm run secrets'])
  const inShell = await hints('', { BIND_ADDRESS: '0.0.0.0', REDIS_PASSWORD: '' })
  assert.equal([inShell.kafka, inShell.redis], ['export BIND_ADDRESS=127.0.0.1', "export REDIS_PASSWORD='…'"])
})

command('reports a taken loopback port if all addresses are to be published', async () => {
  const { ports, check } = await prepare('BIND_ADDRESS=0.0.0.0')
  const held = await hold('127.0.0.1', ports.REDIS_PORT)
  try {
    const { exitCode, report } = await check('--json')
    assert.equal([exitCode, state(report.ports, ports.REDIS_PORT)?.owner?.pid], [1, held.pid])
  } finally {
    await held.end()
  }
})

command('--write-env moves every taken port, and changes nothing else in .env', async () => {
  const { ports, check } = await prepare("OTHER='x' # theirs")
  // The port after the taken one belongs to another service, although nothing holds it.
  const before = readFileSync(path.join(root, '.env'), 'utf8').replace(
    `KAFKA_UI_PORT=${ports.KAFKA_UI_PORT}`,
    `KAFKA_UI_PORT=${ports.REDIS_PORT + 1}`,
  )
  writeFileSync(path.join(root, '.env'), before)
  const held = [await hold('127.0.0.1', ports.REDIS_PORT), await hold('127.0.0.1', ports.KAFKA_LISTENER_PORT)]
  try {
    const { exitCode, stderr, report } = await check('--write-env', '--json')
    const { changes: list } = report as unknown as { changes: { variable: string; to: number }[] }
    const changes = Object.fromEntries(list.map(({ variable, to }) => [variable, to]))
    assert.equal([exitCode, Object.keys(changes).sort()], [0, ['KAFKA_LISTENER_PORT', 'REDIS_PORT']])
    assert.ok((changes.REDIS_PORT ?? 0) > ports.REDIS_PORT + 1)
    assert.match(stderr, `.env: REDIS_PORT=${changes.REDIS_PORT}\n`)
    const expected = before
      .replace(`REDIS_PORT=${ports.REDIS_PORT} #`, `REDIS_PORT=${changes.REDIS_PORT} #`)
      .replace(
        `KAFKA_LISTENER_PORT=${ports.KAFKA_LISTENER_PORT} #`,
        `KAFKA_LISTENER_PORT=${changes.KAFKA_LISTENER_PORT} #`,
      )
    assert.is(readFileSync(path.join(root, '.env'), 'utf8'), expected)
    assert.is((await check('--write-env')).exitCode, 0)
    assert.is(readFileSync(path.join(root, '.env'), 'utf8'), expected)
  } finally {
    await Promise.all(held.map(({ end }) => end()))
  }
})

command('--write-env reports other lines of .env that still have the old port', async () => {
  const { ports, check } = await prepare()
  const old = ports.KAFKA_LISTENER_PORT
  const more = `KAFKA_BOOTSTRAP_SERVERS=localhost:${old}\nTHEIRS=\${KAFKA_LISTENER_PORT}\nLONGER=1${old}\n`
  writeFileSync(path.join(root, '.env'), readFileSync(path.join(root, '.env'), 'utf8') + more)
  const held = await hold('127.0.0.1', old)
  try {
    const { exitCode, report } = await check('--write-env', '--json')
    const { KAFKA_LISTENER_PORT: next } = Object.fromEntries(
      report.ports.map(({ variable, port }) => [variable, port]),
    ) as unknown as Ports
    assert.equal(
      [exitCode, report.findings.map(({ severity, code, subject, expected }) => [severity, code, subject, expected])],
      [
        0,
        [
          [
            'warning',
            'PORT_STALE',
            `.env:${SETTINGS_LINE + 1} KAFKA_BOOTSTRAP_SERVERS`,
            `\${KAFKA_LISTENER_PORT}, which is now ${next}`,
          ],
        ],
      ],
    )
  } finally {
    await held.end()
  }
})

command('--write-env creates .env from the template', async () => {
  const { check } = await prepare()
  rmSync(path.join(root, '.env'))
  const template = readFileSync(path.join(root, '.env.template'), 'utf8')
  const [port = 0] = await freePorts(1)
  writeFileSync(path.join(root, '.env.template'), template.replace('REDIS_PORT=6380', `REDIS_PORT=${port}`))
  const exit = async (...args: string[]) => {
    const { exitCode, stdout, stderr } = await check('--docker', ...args)
    return { exitCode, said: `${stdout}${stderr}` }
  }
  // Where Compose reads it: the template's other ports may be taken.
  writeFileSync(
    path.join(root, 'docker-compose.yml'),
    `name: l2\nservices: { redis: { image: x, ports: ["127.0.0.1:\${REDIS_PORT:-${port}}:6379"] } }\n`,
  )
  const held = await hold('127.0.0.1', port)
  try {
    const taken = await exit()
    assert.is(taken.exitCode, 1, taken.said)
    assert.not.ok(existsSync(path.join(root, '.env')))
    const written = await exit('--write-env')
    assert.is(written.exitCode, 0, written.said)
    const lines = readFileSync(path.join(root, '.env'), 'utf8').split('\n')
    const changed = lines.filter((line, index) => line !== template.split('\n')[index])
    assert.is(changed.length, 1)
    assert.match(changed[0] ?? '', /^REDIS_PORT=\d+$/)
  } finally {
    await held.end()
  }
})

command('--write-env does not write what the shell sets, since the shell takes precedence', async () => {
  const [port = 0] = await freePorts(1)
  const { check } = await prepare('', {}, { REDIS_PORT: String(port) })
  const before = readFileSync(path.join(root, '.env'), 'utf8')
  const held = await hold('127.0.0.1', port)
  try {
    const { exitCode, report } = await check('--write-env', '--json')
    assert.is(exitCode, 1)
    assert.match(report.findings[0]?.hint ?? '', /^export REDIS_PORT=\d+, or stop that process$/)
    assert.is(readFileSync(path.join(root, '.env'), 'utf8'), before)
  } finally {
    await held.end()
  }
})

withCompose('checks what an override file adds: UDP, ranges, ports without a variable', async () => {
  const [udp = 0, fixed = 0] = await freePorts(2)
  const override = `services:\n  extra:\n    image: x\n    ports:\n      - "127.0.0.1:${udp}:53/udp"\n      - "127.0.0.1:${fixed}-${fixed + 3}:80"\n`
  const { ports, check } = await prepare('', { 'docker-compose.override.yml': override })
  const held = [
    await hold('127.0.0.1', udp, { udp: true }),
    await hold('127.0.0.1', fixed),
    await hold('127.0.0.1', ports.REDIS_PORT),
  ]
  try {
    const { report } = await check('--docker', '--json')
    const taken = report.findings.filter(({ code }) => code === 'PORT_TAKEN')
    assert.equal(
      taken.map(({ subject }) => subject).sort(),
      [`port ${udp} (extra)`, `port ${ports.REDIS_PORT} (redis)`].sort(),
    )
    assert.is(
      taken.find(({ subject }) => subject.includes('extra'))?.hint,
      'stop that process, or edit the ports of extra in the compose file',
    )
    assert.is(state(report.ports, udp)?.owner?.pid, held[0]?.pid)
    // The engine uses the next port of the range.
    assert.is(report.ports.find(({ service, protocol }) => service === 'extra' && protocol === 'tcp')?.state, 'free')
  } finally {
    await Promise.all(held.map(({ end }) => end()))
  }
})

command('shows no password from a command line of another process', async () => {
  const { ports, check } = await prepare()
  const held = await hold('127.0.0.1', ports.REDIS_PORT, { args: ['--requirepass', 'hushhush', '--password=hushhush'] })
  try {
    const { stdout } = await check('--json')
    assert.match(stdout, '--requirepass *** --password=***')
    assert.not.match(stdout, 'hushhush')
  } finally {
    await held.end()
  }
})

command('is not misled by another check that binds at the same time', async () => {
  const { check } = await prepare()
  const outcomes = await Promise.all(Array.from({ length: 4 }, () => check('--json')))
  assert.equal(
    outcomes.map(({ exitCode }) => exitCode),
    [0, 0, 0, 0],
  )
})
command.run()

const refusals = suite('check-ports refuses')

const REFUSED: Record<string, [string[], string, Record<string, string>, string]> = {
  'a setting that is no port': [[], 'REDIS_PORT=abc', {}, `.env:${SETTINGS_LINE} REDIS_PORT`],
  'a line of .env that nothing can read': [[], 'REDIS PORT', {}, `.env:${SETTINGS_LINE}`],
  'an unknown flag': [['--portz'], '', {}, '--portz'],
  'two modes at once': [['--docker', '--embedded'], '', {}, '--docker --embedded'],
}
for (const [title, [args, settings, files, subject]] of Object.entries(REFUSED)) {
  refusals(title, async () => {
    const { check } = await prepare(settings, files)
    const { exitCode, stderr, report } = await check(...args, '--json')
    assert.equal([exitCode, stderr, report.findings[0]?.subject], [2, '', subject])
    const text = await check(...args)
    assert.equal([text.exitCode, text.stdout], [2, ''])
    assert.match(text.stderr, `✗ ${subject}`)
  })
}

const refusalsWithCompose = hasCompose() ? refusals : refusals.skip

refusalsWithCompose('a compose file that Compose refuses', async () => {
  const files = { 'docker-compose.override.yml': 'services:\n  redis:\n    ports: *nope\n' }
  const { check } = await prepare('', files)
  const { exitCode, stderr, report } = await check('--docker', '--json')
  assert.equal([exitCode, stderr, report.findings[0]?.code], [2, '', 'COMPOSE_FILE'])
  assert.match(report.findings[0]?.found ?? '', "unknown anchor 'nope'")
  // The embedded stack does not read it.
  assert.is((await check('--embedded')).exitCode, 0)
})

refusalsWithCompose('two services on one port', async () => {
  const { ports, check } = await prepare()
  const override = `services:\n  extra:\n    image: x\n    ports:\n      - "${ports.REDIS_PORT}:80"\n`
  writeFileSync(path.join(root, 'docker-compose.override.yml'), override)
  const { exitCode, report } = await check('--docker', '--json')
  assert.equal([exitCode, report.findings[0]?.code], [2, 'PORT_TWICE'])
})
refusals.run()

const embedded = suite('check-ports and the embedded stack')

/** Records a process as a start of the embedded stack does. */
function record(pid: number, born: string | undefined): void {
  const folder = path.join(root, '.embedded/data/run')
  mkdirSync(folder, { recursive: true })
  writeFileSync(path.join(folder, 'redis.json'), JSON.stringify({ name: 'redis', pid, born, log: '' }))
}

embedded('checks the internal port of Kafka, and without the page not that of Kafka UI', async () => {
  const { ports, check } = await prepare('EMBEDDED_UI=off')
  const held = await hold('127.0.0.1', ports.KAFKA_UI_PORT)
  try {
    const { exitCode, report } = await check('--embedded', '--json')
    assert.equal([exitCode, report.mode], [0, 'embedded'])
    assert.equal(
      report.ports.map(({ port }) => port).sort(),
      Object.values(ports)
        .filter((port) => port !== ports.KAFKA_UI_PORT && port !== ports.KAFKA_CONTROLLER_PORT)
        .sort(),
    )
    assert.is((await check('--docker')).exitCode, 1)
    const env = path.join(root, '.env')
    writeFileSync(env, readFileSync(env, 'utf8').replace('EMBEDDED_UI=off', 'EMBEDDED_UI=on'))
    const withPage = await check('--embedded', '--json')
    assert.equal(
      [withPage.exitCode, codes(withPage.report.findings)],
      [1, [['error', 'PORT_TAKEN', `port ${ports.KAFKA_UI_PORT} (ui)`]]],
    )
  } finally {
    await held.end()
  }
})

embedded('checks the port of the controller instead of ZooKeeper’s in KRaft mode', async () => {
  const { ports, check } = await prepare('KAFKA_MODE=kraft\nEMBEDDED_UI=off')
  const { exitCode, report } = await check('--embedded', '--json')
  assert.equal([exitCode, report.mode], [0, 'embedded'])
  assert.equal(
    report.ports.map(({ port }) => port).sort(),
    Object.values(ports)
      .filter((port) => port !== ports.KAFKA_UI_PORT && port !== ports.ZOOKEEPER_CLIENT_PORT)
      .sort(),
  )
})

embedded('is checked if an engine has no Compose v2, as npm start chooses', async () => {
  // Fake commands: an engine with and without Compose cannot both exist here.
  const bin = path.join(root, 'bin')
  mkdirSync(bin, { recursive: true })
  const { check } = await prepare('', {}, { PATH: `${bin}:${process.env.PATH}` })
  const modes: string[] = []
  for (const compose of ['exit 1', `[ "$2" = version ] && echo 2.17.0 || echo '{"name":"l2","services":{}}'`]) {
    const lines = ['#!/bin/sh', 'case "$1" in', 'ps) ;;', 'version) echo 28.2.2 ;;', `compose) ${compose} ;;`, 'esac']
    writeFileSync(path.join(bin, 'docker'), lines.join('\n'), { mode: 0o755 })
    writeFileSync(path.join(bin, 'docker-compose'), '#!/bin/sh\nexit 1\n', { mode: 0o755 })
    modes.push(JSON.parse((await check('--json')).stdout).mode)
  }
  assert.equal(modes, ['embedded', 'docker'])
  rmSync(bin, { recursive: true })
})

embedded('owns its recorded processes; a later process with the same PID is not ours', async () => {
  const { ports, check } = await prepare()
  const held = await hold('127.0.0.1', ports.REDIS_PORT)
  try {
    record(held.pid, bornAt(held.pid))
    const { exitCode, report } = await check('--json')
    assert.equal([exitCode, report.mode, state(report.ports, ports.REDIS_PORT)?.state], [0, 'embedded', 'ours'])
    assert.match((await check()).stdout, `ours (node, PID ${held.pid})`)
    const docker = await check('--docker', '--json')
    assert.equal(
      [docker.exitCode, docker.report.findings[0]?.code, docker.report.findings[0]?.hint],
      [1, 'PORT_OTHER_MODE', 'npm stop'],
    )
    record(held.pid, 'another age')
    assert.equal([(await check('--json')).report.findings[0]?.code], ['PORT_TAKEN'])
    for (const content of ['', '{"name":"redis","pid":', '{}', 'null', '7']) {
      writeFileSync(path.join(root, '.embedded/data/run/redis.json'), content)
      const broken = await check('--json')
      assert.equal([broken.exitCode, broken.report.findings[0]?.code], [1, 'PORT_TAKEN'], content)
    }
  } finally {
    await held.end()
  }
})

embedded('holds all its ports while it runs', async () => {
  const stack = await sharedStack()
  try {
    const { exitCode, stdout } = await runScript('check-ports.mts', ['--json'], { env: stack.env })
    const { ports } = JSON.parse(stdout) as { ports: PortState[] }
    assert.equal([exitCode, ports.map(({ state: is }) => is)], [0, Array.from({ length: 6 }, () => 'ours')])
  } finally {
    await stack.stop()
  }
})
embedded.run()

const others = suite('check-ports as an ordinary user')
const asRoot = process.getuid?.() === 0 ? others : others.skip

const checkAsNobody = (here: Prepared, values: NodeJS.ProcessEnv = {}, more = ['--docker']) =>
  runAsNobody('check-ports.mts', here, values, more)

/** Runs a command without root's privileges. Another user id alone would keep them. */
function runAsNobody(name: string, { env }: Prepared, values: NodeJS.ProcessEnv, more: string[]): Promise<Outcome> {
  chmodSync(root, 0o755)
  chmodSync(path.join(root, '.env'), 0o644)
  const script = path.join(root, 'scripts', name)
  const args = ['--reuid', '65534', '--regid', '65534', '--clear-groups', script, ...more, '--json']
  return runFile('setpriv', args, { env: { ...env, HOME: '/nonexistent', ...values }, cwd: root })
}

asRoot('finds a port of another user taken, and says how to see by whom', async () => {
  const here = await prepare()
  const held = await hold('127.0.0.1', here.ports.REDIS_PORT)
  try {
    const { exitCode, stdout } = await checkAsNobody(here)
    const { findings } = JSON.parse(stdout) as { findings: Finding[] }
    assert.equal([exitCode, findings.length], [1, 1])
    assert.is(findings[0]?.found, 'taken by a process of user root (owner not visible, run with sudo)')
  } finally {
    await held.end()
  }
})

asRoot('cannot tell whether a port is held by the running stack of another user, and does not move it', async () => {
  const here = await prepare()
  const held = await hold('127.0.0.1', here.ports.REDIS_PORT)
  try {
    record(held.pid, bornAt(held.pid))
    const before = readFileSync(path.join(root, '.env'), 'utf8')
    for (const more of [[], ['--docker'], ['--write-env']]) {
      const { exitCode, stdout } = await checkAsNobody(here, {}, more)
      const { ports, findings, changes } = JSON.parse(stdout)
      assert.equal([exitCode, findings.length, changes], [3, 1, []])
      const { code, found, hint } = findings[0]
      assert.equal([code, hint], ['PORT_UNKNOWN', 'sudo ./scripts/check-ports.mts'])
      assert.match(found, 'held by a process of user root (owner not visible, run with sudo), which may be this stack')
      const redis = state(ports, here.ports.REDIS_PORT)
      assert.equal([redis?.state, redis?.next], ['unknown', undefined])
    }
    assert.is(readFileSync(path.join(root, '.env'), 'utf8'), before)
    // That the service runs says nothing about the port of another service.
    const other = await hold('127.0.0.1', here.ports.KAFKA_LISTENER_PORT)
    const { exitCode, stdout } = await checkAsNobody(here)
    await other.end()
    assert.equal(
      [
        exitCode,
        codes(JSON.parse(stdout).findings)
          .map(([, code]) => code)
          .sort(),
      ],
      [1, ['PORT_TAKEN', 'PORT_UNKNOWN']],
    )
  } finally {
    await held.end()
  }
})

asRoot('says that it may not read the records of another user, as stop, health-check and start do', async () => {
  const here = await prepare()
  const held = await hold('127.0.0.1', here.ports.REDIS_PORT)
  try {
    record(held.pid, bornAt(held.pid))
    chmodSync(path.join(root, '.embedded/data'), 0o700)
    for (const script of ['check-ports.mts', 'stop.mts', 'health-check.mts', 'start.mts']) {
      const { exitCode, stdout } = await runAsNobody(script, here, {}, [])
      const { findings } = JSON.parse(stdout)
      assert.equal(
        [exitCode, codes(findings)],
        [3, [['unknown', 'DATA_DIR', path.join(root, '.embedded/data')]]],
        script,
      )
      assert.match(findings[0].found, /^this user cannot use the folder \(EACCES: /)
    }
  } finally {
    await held.end()
  }
})

asRoot('--write-env reports what it may not write, and how to go on without', async () => {
  const here = await prepare()
  const held = await hold('127.0.0.1', here.ports.REDIS_PORT)
  try {
    const before = readFileSync(path.join(root, '.env'), 'utf8')
    const { exitCode, stdout, stderr } = await checkAsNobody(here, {}, ['--write-env'])
    const { ports, findings, changes } = JSON.parse(stdout)
    assert.equal([exitCode, stderr, changes], [1, '', []])
    assert.equal(codes(findings), [
      ['error', 'PORT_TAKEN', `port ${here.ports.REDIS_PORT} (redis)`],
      ['error', 'ENV_NOT_WRITTEN', '.env'],
    ])
    assert.match(findings[1].found, /^EACCES: permission denied/)
    const next = state(ports, here.ports.REDIS_PORT)?.next
    assert.is(findings[1].hint, `export REDIS_PORT=${next}, or run it as a user who may write to ${root}`)
    assert.is(readFileSync(path.join(root, '.env'), 'utf8'), before)
    const hinted = await checkAsNobody(here, { REDIS_PORT: String(next) }, [])
    assert.is(hinted.exitCode, 0, hinted.stdout)
  } finally {
    await held.end()
  }
})

const lowest = '/proc/sys/net/ipv4/ip_unprivileged_port_start'
const withLowPorts = existsSync(lowest) && Number(readFileSync(lowest, 'utf8')) > 700 ? asRoot : others.skip
withLowPorts('cannot tell of a port that only root may try', async () => {
  const { exitCode, stdout } = await checkAsNobody(await prepare(), { REDIS_PORT: '699' })
  const { findings } = JSON.parse(stdout) as { findings: Finding[] }
  assert.equal([exitCode, codes(findings)], [3, [['unknown', 'PORT_UNKNOWN', 'port 699 (redis)']]])
})
others.run()
