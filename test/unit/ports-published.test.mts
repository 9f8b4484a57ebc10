/**
 * Published ports according to Docker Compose if the machine has it, else to the settings. A fake docker command is used where it must
 * fail.
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { OpsError } from '../../scripts/lib/common/findings.mts'
import { type ComposeProject, readProject } from '../../scripts/lib/ports/published.mts'
import { ROOT, readSettings } from '../../scripts/lib/settings/settings.mts'
import { cleanEnv, hasCompose, projectFolder } from '../support/project.mts'

const TEMPLATE = { '.env.template': readFileSync(path.join(ROOT, '.env.template'), 'utf8') }

/** Returns what the files of a folder publish with `env`. */
const read = (files: Record<string, string>, env: NodeJS.ProcessEnv): Promise<ComposeProject> =>
  readIn(projectFolder({ ...TEMPLATE, ...files }), env)

const readIn = (root: string, env: NodeJS.ProcessEnv) =>
  readProject(readSettings(env, root), { root, env, timeoutMs: 2_000 })

/** Returns `[IP:]FIRST[-LAST]/PROTOCOL` of each port by service, and the setting that it comes from. */
function published({ ports }: ComposeProject): string[] {
  return ports
    .map(({ service, hostIp, first, last, protocol, variable }) => {
      const range = first === last ? first : `${first}-${last}`
      return `${service} ${hostIp || '*'}:${range}/${protocol}${variable ? ` ${variable}` : ''}`
    })
    .sort()
}

const KNOWN = [
  'clickhouse 0.0.0.0:19000/tcp CLICKHOUSE_TCP_PORT',
  'clickhouse 0.0.0.0:8123/tcp CLICKHOUSE_HTTP_PORT',
  'kafka 0.0.0.0:9092/tcp KAFKA_LISTENER_PORT',
  'kafka-ui 0.0.0.0:8080/tcp KAFKA_UI_PORT',
  'redis 0.0.0.0:16380/tcp REDIS_PORT',
  'zookeeper 0.0.0.0:12181/tcp ZOOKEEPER_CLIENT_PORT',
]
const CHANGED = {
  BIND_ADDRESS: '0.0.0.0',
  ZOOKEEPER_CLIENT_PORT: '12181',
  REDIS_PORT: '16380',
  CLICKHOUSE_TCP_PORT: '19000',
}

/** With docker-compose.prod.yml. */
const PRODUCTION = [
  'clickhouse 0.0.0.0:8443/tcp CLICKHOUSE_HTTPS_PORT',
  'clickhouse 0.0.0.0:9440/tcp CLICKHOUSE_TCP_TLS_PORT',
  'kafka 0.0.0.0:9092/tcp KAFKA_LISTENER_PORT',
  'kafka-ui 127.0.0.1:8080/tcp KAFKA_UI_PORT',
  'redis 0.0.0.0:16380/tcp REDIS_PORT',
  'zookeeper 127.0.0.1:12181/tcp ZOOKEEPER_CLIENT_PORT',
]

const without = suite('published ports without Docker Compose')

without('are those of the settings, whatever compose files exist', async () => {
  const env = cleanEnv({ ...CHANGED, PATH: '/nonexistent' })
  const project = await read({ 'docker-compose.override.yml': 'services: { redis: { ports: *nope\n' }, env)
  assert.equal([project.name, ...published(project)], ['l2', ...KNOWN])
})

without('are those of docker-compose.prod.yml if COMPOSE_FILE names it', async () => {
  const env = cleanEnv({ ...CHANGED, COMPOSE_FILE: 'docker-compose.yml:docker-compose.prod.yml', PATH: '/nonexistent' })
  assert.equal(published(await read({}, env)), PRODUCTION)
})

without('are those of KRaft mode without ZooKeeper', async () => {
  const env = cleanEnv({ ...CHANGED, KAFKA_MODE: 'kraft', PATH: '/nonexistent' })
  assert.equal(
    published(await read({}, env)),
    KNOWN.filter((port) => !port.startsWith('zookeeper')),
  )
})

/** Creates a folder with a `docker` that reports Compose 2.40 and runs this script for `config`. */
function fakeCompose(config: string): [string, NodeJS.ProcessEnv] {
  const script = `#!/bin/sh\n[ "$2" = version ] && echo 2.40.0 && exit\n${config}\n`
  const root = projectFolder({ ...TEMPLATE, 'bin/docker': script })
  chmodSync(path.join(root, 'bin/docker'), 0o755)
  return [root, cleanEnv({ PATH: path.join(root, 'bin') })]
}

for (const [title, config, found] of [
  ['gives no answer in time', "trap '' TERM\nexec /bin/sleep 30", 'no answer within 2 s'],
  ['answers with no JSON', 'echo "WARN: odd"', 'invalid JSON: "WARN: odd"'],
  ['prints nothing', 'exit 0', 'invalid JSON: ""'],
] as const) {
  without(`are unknown if Compose ${title}`, async () => {
    assert.equal(await refusalOf(readIn(...fakeCompose(config))), [3, found])
  })
}

without('a refusal is shown without warnings and without the refused value', async () => {
  const message =
    'invalid interpolation format for services.r.environment.P_PASSWORD.\\nYou may need to escape.\\nS3cr3t${x!}'
  const config = `echo 'time="…" level=warning msg="odd"' >&2; printf '${message}\\n' >&2; exit 15`
  const found = 'invalid interpolation format for services.r.environment.P_PASSWORD'
  assert.equal(await refusalOf(readIn(...fakeCompose(config))), [2, found])
})
without.run()

/** Returns the exit code and finding of a refusal. */
async function refusalOf(work: Promise<unknown>): Promise<[number, string]> {
  const error = await work.then(
    () => new Error('it was accepted'),
    (reason) => reason,
  )
  if (!(error instanceof OpsError)) throw error
  return [error.exitCode, error.findings[0]?.found ?? '']
}

const compose = suite('published ports with Docker Compose')
const withCompose = hasCompose() ? compose : compose.skip

/** Projects as files, the shell's variables, and the ports they publish. */
interface Case {
  files: Record<string, string>
  env?: NodeJS.ProcessEnv
  name?: string
  ports: string[]
}

const service = (ports: string, more = '') => `name: t\nservices:\n  a:\n    image: x\n${more}    ports: ${ports}\n`

const CASES: Record<string, Case> = {
  'a port from .env, which no setting of ours sets': {
    files: { 'compose.yaml': service('["${P:-1}:80"]'), '.env': 'P=8080\n' },
    ports: ['a *:8080/tcp'],
  },
  'a port from the shell before .env': {
    files: { 'compose.yaml': service('["${P:-1}:80"]'), '.env': 'P=8080\n' },
    env: { P: '8081' },
    ports: ['a *:8081/tcp'],
  },
  'numbers, strings, the long form, and none that the engine chooses': {
    files: {
      'compose.yaml': service('[8080, 8081:80, "8082:80", {target: 80, published: 8083}, "0:80", {target: 81}]'),
    },
    ports: ['a *:8081/tcp', 'a *:8082/tcp', 'a *:8083/tcp'],
  },
  'ranges, protocols and addresses': {
    files: {
      'compose.yaml': service(
        '["8000-8001:80-81/udp", "9000-9002:90", {target: 70, published: "7000-7001", host_ip: 127.0.0.1}, "[::1]:6000:60"]',
      ),
    },
    ports: ['a *:8000/udp', 'a *:8001/udp', 'a *:9000-9002/tcp', 'a 127.0.0.1:7000-7001/tcp', 'a ::1:6000/tcp'],
  },
  'an override file that adds': {
    files: {
      'docker-compose.yml': service('["1:1", "2:2"]'),
      'docker-compose.override.yml':
        'services:\n  a:\n    ports: ["2:2", "3:3"]\n  b:\n    image: y\n    ports: ["4:4"]\n',
    },
    ports: ['a *:1/tcp', 'a *:2/tcp', 'a *:3/tcp', 'b *:4/tcp'],
  },
  'COMPOSE_FILE of .env, without the override file': {
    files: {
      '.env': 'COMPOSE_FILE=docker-compose.yml:more/extra.yml\n',
      'docker-compose.yml': service('["1:1"]'),
      'docker-compose.override.yml': 'services: { a: { ports: ["9:9"] } }\n',
      'more/extra.yml': 'services: { b: { image: y, ports: ["2:2"] } }\n',
    },
    ports: ['a *:1/tcp', 'b *:2/tcp'],
  },
  'the services of a profile that is on': {
    files: { 'compose.yaml': `${service('["1:1"]')}  b:\n    image: y\n    profiles: [debug]\n    ports: ["2:2"]\n` },
    env: { COMPOSE_PROFILES: 'other,debug' },
    ports: ['a *:1/tcp', 'b *:2/tcp'],
  },
  'the project name of the shell': {
    files: { 'compose.yaml': service('["1:1"]') },
    env: { COMPOSE_PROJECT_NAME: 'mine' },
    name: 'mine',
    ports: ['a *:1/tcp'],
  },
  'what extends and !override say': {
    files: {
      'compose.yaml': service('["9:9"]'),
      'compose.override.yaml':
        'services:\n  b: { image: x, ports: ["1:1"] }\n  c: { extends: b }\n  a: { ports: !override ["2:2"] }\n',
    },
    ports: ['a *:2/tcp', 'b *:1/tcp', 'c *:1/tcp'],
  },
  'a service without ports': { files: { 'compose.yaml': 'name: t\nservices: { a: { image: x } }\n' }, ports: [] },
  'a setting only where the port is its own': {
    files: {
      'compose.yaml':
        'name: t\nservices: { redis: { image: x, ports: ["127.0.0.1:${REDIS_PORT}:6379", "7:6379", "8:1"] } }\n',
    },
    env: { REDIS_PORT: '16380' },
    ports: ['redis *:7/tcp', 'redis *:8/tcp', 'redis 127.0.0.1:16380/tcp REDIS_PORT'],
  },
}

for (const [title, { files, env = {}, name = 't', ports }] of Object.entries(CASES)) {
  withCompose(`are ${title}`, async () => {
    const project = await read(files, cleanEnv(env))
    assert.equal([project.name, ...published(project)], [name, ...ports])
  })
}

withCompose('are those of the settings for the shipped file', async () => {
  const env = cleanEnv({ ...CHANGED, COMPOSE_FILE: path.join(ROOT, 'docker-compose.yml') })
  const project = await read({}, env)
  assert.equal([project.name, ...published(project)], ['l2', ...KNOWN])
})

/** Variables that docker-compose.prod.yml requires. */
const REQUIRED = {
  KAFKA_SASL_USERNAME: 'l2',
  KAFKA_SASL_PASSWORD: 'kafka-word',
  CLICKHOUSE_PASSWORD: 'clickhouse-word',
  REDIS_PASSWORD: 'redis-word',
  KAFKA_UI_PASSWORD: 'ui-word',
}
const filesOf = (...names: string[]) => names.map((name) => path.join(ROOT, `docker-compose${name}.yml`)).join(':')
/** Returns the output of Compose for these files. */
function configOf(files: string, values: NodeJS.ProcessEnv) {
  const env = cleanEnv({ ...values, COMPOSE_FILE: files })
  return spawnSync('docker', ['compose', 'config', '--format', 'json'], { cwd: projectFolder(), env, encoding: 'utf8' })
}

withCompose('are those of the settings for docker-compose.prod.yml, in both modes of Kafka', async () => {
  const values = { ...CHANGED, ...REQUIRED, KAFKA_SECURITY_PROTOCOL: 'SASL_SSL', KAFKA_SASL_MECHANISM: 'PLAIN' }
  const project = await read({}, cleanEnv({ ...values, COMPOSE_FILE: filesOf('', '.prod') }))
  assert.equal([project.name, ...published(project)], ['l2', ...PRODUCTION])
  const env = cleanEnv({ ...values, KAFKA_MODE: 'kraft', COMPOSE_FILE: filesOf('', '.kraft', '.prod') })
  const kraft = published(await read({}, env))
  assert.equal(
    kraft,
    PRODUCTION.filter((port) => !port.startsWith('zookeeper')),
  )
})

withCompose('are refused by docker-compose.prod.yml without each password', () => {
  for (const name of Object.keys(REQUIRED)) {
    const { status, stderr } = configOf(filesOf('', '.prod'), { ...REQUIRED, [name]: '' })
    assert.is.not(status, 0, name)
    assert.match(stderr, `required variable ${name} is missing a value: run npm run secrets -- --production`)
  }
})

withCompose('docker-compose.prod.yml changes no more than its first lines say, and restarts always', () => {
  for (const mode of [[''], ['', '.kraft']]) {
    const [plain, prod] = [mode, [...mode, '.prod']].map((names) => {
      const { status, stdout, stderr } = configOf(filesOf(...names), REQUIRED)
      assert.equal([status, stderr], [0, ''])
      return JSON.parse(stdout)
    })
    assert.equal(Object.keys(prod.services), Object.keys(plain.services))
    assert.equal(prod.volumes, plain.volumes)
    for (const [name, service] of Object.entries<Record<string, unknown>>(prod.services)) {
      assert.is(service.restart, 'always', name)
      for (const key of [
        'image',
        'command',
        'mem_limit',
        'healthcheck',
        'depends_on',
        'networks',
        'logging',
        'security_opt',
      ])
        assert.equal(service[key], plain.services[name][key], `${name} ${key}`)
    }
    const secrets = Object.values<{ target: string; source: string; bind?: object }>(
      prod.services.kafka.volumes.concat(prod.services.clickhouse.volumes, prod.services.redis.volumes),
    ).filter(({ source }) => source.includes('/certs/'))
    assert.equal(
      secrets.map(({ source, bind }) => [path.basename(source), bind]),
      ['kafka.pem', 'clickhouse.pem', 'redis.pem', 'ca.crt'].map((file) => [file, { selinux: 'z' }]),
    )
  }
})

/** Invalid projects, and Compose's error for each. */
const WRONG: Record<string, [Record<string, string>, RegExp, NodeJS.ProcessEnv?]> = {
  'a bad port': [{ 'compose.yaml': service('["a:80"]') }, /a/],
  'an unknown alias': [
    { 'compose.yaml': service('["1:1"]'), 'compose.override.yaml': 'services:\n  a:\n    ports: *nope\n' },
    /unknown anchor 'nope'/,
  ],
  'a required variable that is not set': [{ 'compose.yaml': service('["${P:?choose one}:80"]') }, /choose one/],
  'a mistake of syntax': [{ 'compose.yaml': 'services:\n  a:\n   image: x\n  ports: [\n' }, /line \d/],
  'a key that it does not know': [{ 'compose.yaml': service('["1:1"]', '    imagine: y\n') }, /imagine/],
  'a COMPOSE_FILE that is not there': [{}, /none\.yml/, { COMPOSE_FILE: 'none.yml' }],
  'a folder without a compose file': [{}, /no configuration file/],
}
for (const [title, [files, message, env = {}]] of Object.entries(WRONG)) {
  withCompose(`refuse ${title} in Compose's words`, async () => {
    const [exitCode, found] = await refusalOf(read(files, cleanEnv(env)))
    assert.is(exitCode, 2)
    assert.match(found, message)
  })
}

withCompose('refuse a folder in place of an override file', async () => {
  const root = projectFolder({ ...TEMPLATE, 'docker-compose.yml': service('["1:1"]') })
  mkdirSync(path.join(root, 'docker-compose.override.yml'))
  const [exitCode, found] = await refusalOf(readIn(root, cleanEnv()))
  assert.is(exitCode, 2)
  assert.match(found, 'is a directory')
})

withCompose('show no value that cannot be filled in', async () => {
  const environment = '    environment: { P_PASSWORD: "S3cr3tPw${x!}" }\n'
  const [exitCode, found] = await refusalOf(read({ 'compose.yaml': service('["1:1"]', environment) }, cleanEnv()))
  assert.is(exitCode, 2)
  assert.match(found, 'services.a.environment.P_PASSWORD')
  assert.not.match(found, 'S3cr3t')
})

withCompose('the shipped file is accepted without .env and with the template as .env', () => {
  const env = cleanEnv({ COMPOSE_FILE: 'docker-compose.yml' })
  for (const more of [[], ['--env-file', '.env.template']]) {
    const options = { cwd: ROOT, env, encoding: 'utf8' } as const
    const { status, stderr } = spawnSync('docker', ['compose', ...more, 'config', '--quiet'], options)
    assert.equal([status, stderr], [0, ''])
  }
})
compose.run()
