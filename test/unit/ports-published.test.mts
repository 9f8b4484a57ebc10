/** The reading of compose files, beside Docker Compose's own. Fake is, where it must not answer, the docker command. */
import { spawnSync } from 'node:child_process'
import { chmodSync } from 'node:fs'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { OpsError } from '../../scripts/lib/common/findings.mts'
import { parseLongPort, parseShortPort, splitShortPort } from '../../scripts/lib/ports/port-spec.mts'
import { type ComposeProject, readComposeFiles, readComposeProject } from '../../scripts/lib/ports/published.mts'
import { composeLookup } from '../../scripts/lib/settings/environment.mts'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { cleanEnv, hasCompose, projectFolder } from '../support/project.mts'

/** Without Compose on the PATH, so that the files alone decide. */
const alone = (values: NodeJS.ProcessEnv = {}) => cleanEnv({ ...values, PATH: '/nonexistent' })

/** `[IP:]FIRST[-LAST]->TARGET/PROTOCOL` of each port, by service. */
function published({ ports }: Pick<ComposeProject, 'ports'>): string[] {
  return ports
    .map(({ service, hostIp, first, last, target, protocol }) => {
      const range = first === last ? first : `${first}-${last}`
      return `${service} ${hostIp || '*'}:${range}->${target}/${protocol}`
    })
    .sort()
}

const short = suite('short port syntax')
const show = (text: string) =>
  published({ ports: parseShortPort(text).map((p) => ({ ...p, service: '', variable: '', origin: '' })) })

const SHORT: [string, string[]][] = [
  ['8080', []],
  [':80', []],
  ['0:80', []],
  ['127.0.0.1::80', []],
  ['80-82', []],
  ['8080:80', [' *:8080->80/tcp']],
  ['127.0.0.1:8080:80', [' 127.0.0.1:8080->80/tcp']],
  ['[::1]:8080:80', [' ::1:8080->80/tcp']],
  ['8080:80/udp', [' *:8080->80/udp']],
  ['8080:80/UDP', [' *:8080->80/udp']],
  ['08080:80', [' *:8080->80/tcp']],
  ['8000-8002:80', [' *:8000-8002->80/tcp']],
  ['8000-8001:80-81', [' *:8000->80/tcp', ' *:8001->81/tcp']],
]
for (const [text, expected] of SHORT)
  short(`"${text}" publishes ${expected.length}`, () => assert.equal(show(text), expected))

const SHORT_WRONG: [string, string][] = [
  ['', 'container port ""'],
  ['8080:', 'container port ""'],
  ['a:80', 'host port "a"'],
  ['+80:80', 'host port "+80"'],
  [' 8080:80', 'host port " 8080"'],
  ['8080:80 ', 'container port "80 "'],
  ['70000:80', 'host port "70000"'],
  ['8002-8000:80', 'host port "8002-8000"'],
  ['8000-8001:80-82', 'host ports "8000-8001" for "80-82"'],
  ['8080:80/x', 'protocol "x"'],
  ['localhost:8080:80', 'IP address "localhost"'],
  ['::1:8080:80', 'IP address "::1"'],
  ['1:2:3:4', 'IP address "1:2"'],
]
for (const [text, message] of SHORT_WRONG)
  short(`"${text}" is refused`, () => assert.throws(() => parseShortPort(text), message))

short('colons inside a variable separate nothing', () => {
  assert.equal(splitShortPort('${IP:-127.0.0.1}:${REDIS_PORT:-6380}:6379'), {
    hostIp: '${IP:-127.0.0.1}',
    published: '${REDIS_PORT:-6380}',
    target: '6379',
  })
})
short.run()

const long = suite('long port syntax')
long('publishes what has a host port', () => {
  const port = { hostIp: '', first: 8080, last: 8080, target: 80, protocol: 'tcp' }
  assert.equal(parseLongPort({ target: 80 }), [])
  assert.equal(parseLongPort({ target: 80, published: '0' }), [])
  assert.equal(parseLongPort({ target: '80', published: 8080, mode: 'host', name: 'web' }), [port])
  assert.equal(parseLongPort({ target: 80, published: '8080-8081', host_ip: '::1', protocol: 'udp' }), [
    { ...port, last: 8081, hostIp: '::1', protocol: 'udp' },
  ])
})
long('is refused for what no engine can publish', () => {
  assert.throws(() => parseLongPort({ published: 80 }), 'no target')
  assert.throws(() => parseLongPort({ target: '80-81', published: 80 }), 'target "80-81"')
  assert.throws(() => parseLongPort({ target: 80, published: 'abc' }), 'published port "abc"')
  assert.throws(() => parseLongPort({ target: 80, published: 70_000 }), 'published port "70000"')
  assert.throws(() => parseLongPort({ target: 80, published: 80, host_ip: 'localhost' }), 'IP address "localhost"')
})
long.run()

/** Projects as files, the shell's variables, and what they publish. */
interface Case {
  files: Record<string, string>
  env?: NodeJS.ProcessEnv
  name?: string
  ports: string[]
}

const service = (ports: string, more = '') => `name: t\nservices:\n  a:\n    image: x\n${more}    ports: ${ports}\n`

const CASES: Record<string, Case> = {
  'a port from .env': {
    files: { 'compose.yaml': service('["${P:-1}:80"]'), '.env': 'P=8080\n' },
    ports: ['a *:8080->80/tcp'],
  },
  'a port from the shell before .env': {
    files: { 'compose.yaml': service('["${P:-1}:80"]'), '.env': 'P=8080\n' },
    env: { P: '8081' },
    ports: ['a *:8081->80/tcp'],
  },
  'the default for a variable that the shell empties': {
    files: { 'compose.yaml': service('["${P:-1}:80"]'), '.env': 'P=8080\n' },
    env: { P: '' },
    ports: ['a *:1->80/tcp'],
  },
  'no value of .env.template': {
    files: { 'compose.yaml': service('["${P:-1}:80"]'), '.env.template': 'P=9\n' },
    ports: ['a *:1->80/tcp'],
  },
  'numbers, strings and the long form': {
    files: {
      'compose.yaml': service(
        '[8080, 8081:80, "8082:80", {target: 80, published: 8083}, {target: 80, published: "${P:-8084}"}]',
      ),
    },
    ports: ['a *:8081->80/tcp', 'a *:8082->80/tcp', 'a *:8083->80/tcp', 'a *:8084->80/tcp'],
  },
  'ranges and protocols': {
    files: {
      'compose.yaml': service(
        '["8000-8001:80-81/udp", "9000-9002:90", {target: 70, published: "7000-7001", host_ip: 127.0.0.1}]',
      ),
    },
    ports: ['a *:8000->80/udp', 'a *:8001->81/udp', 'a *:9000-9002->90/tcp', 'a 127.0.0.1:7000-7001->70/tcp'],
  },
  'what anchors and merges bring in': {
    files: {
      'compose.yaml':
        'name: t\nx-base: &base\n  image: x\n  ports: ["1:1"]\nx-list: &list ["2:2"]\nservices:\n  a:\n    <<: *base\n  b:\n    image: x\n    ports: *list\n  c:\n    <<: *base\n    ports: ["3:3"]\n',
    },
    ports: ['a *:1->1/tcp', 'b *:2->2/tcp', 'c *:3->3/tcp'],
  },
  'an override file that adds': {
    files: {
      'docker-compose.yml': service('["1:1", "2:2"]'),
      'docker-compose.override.yml':
        'services:\n  a:\n    ports: ["2:2", "3:3"]\n  b:\n    image: y\n    ports: ["4:4"]\n',
    },
    ports: ['a *:1->1/tcp', 'a *:2->2/tcp', 'a *:3->3/tcp', 'b *:4->4/tcp'],
  },
  'one port for two ways to say all addresses': {
    files: { 'compose.yaml': service('["1:1", "0.0.0.0:1:1"]') },
    ports: ['a 0.0.0.0:1->1/tcp'],
  },
  'compose.yaml before docker-compose.yml, with its override': {
    files: {
      'compose.yaml': service('["1:1"]'),
      'docker-compose.yml': service('["9:9"]'),
      'compose.override.yaml': 'services: { a: { ports: ["2:2"] } }\n',
    },
    ports: ['a *:1->1/tcp', 'a *:2->2/tcp'],
  },
  'COMPOSE_FILE of .env, without the override file': {
    files: {
      '.env': 'COMPOSE_FILE=docker-compose.yml:more/extra.yml\n',
      'docker-compose.yml': service('["1:1"]'),
      'docker-compose.override.yml': 'services: { a: { ports: ["9:9"] } }\n',
      'more/extra.yml': 'services: { b: { image: y, ports: ["2:2"] } }\n',
    },
    ports: ['a *:1->1/tcp', 'b *:2->2/tcp'],
  },
  'COMPOSE_FILE with its own separator': {
    files: { 'x.yml': service('["1:1"]'), 'y.yml': 'services: { b: { image: y, ports: ["2:2"] } }\n' },
    env: { COMPOSE_FILE: 'x.yml,y.yml', COMPOSE_PATH_SEPARATOR: ',' },
    ports: ['a *:1->1/tcp', 'b *:2->2/tcp'],
  },
  'no service of a profile that is off': {
    files: { 'compose.yaml': `${service('["1:1"]')}  b:\n    image: y\n    profiles: [debug]\n    ports: ["2:2"]\n` },
    ports: ['a *:1->1/tcp'],
  },
  'the services of a profile that is on': {
    files: { 'compose.yaml': `${service('["1:1"]')}  b:\n    image: y\n    profiles: [debug]\n    ports: ["2:2"]\n` },
    env: { COMPOSE_PROFILES: 'other,debug' },
    ports: ['a *:1->1/tcp', 'b *:2->2/tcp'],
  },
  'the services of all profiles': {
    files: { 'compose.yaml': `${service('["1:1"]')}  b:\n    image: y\n    profiles: [debug]\n    ports: ["2:2"]\n` },
    env: { COMPOSE_PROFILES: '*' },
    ports: ['a *:1->1/tcp', 'b *:2->2/tcp'],
  },
  'the project name of the shell': {
    files: { 'compose.yaml': service('["1:1"]') },
    env: { COMPOSE_PROJECT_NAME: 'mine' },
    name: 'mine',
    ports: ['a *:1->1/tcp'],
  },
  'the project name of the last file': {
    files: {
      'compose.yaml': service('["1:1"]'),
      'compose.override.yaml': 'name: ${N:-late}\nservices: { a: { image: x } }\n',
    },
    name: 'late',
    ports: ['a *:1->1/tcp'],
  },
  'a service without ports': { files: { 'compose.yaml': 'name: t\nservices: { a: { image: x } }\n' }, ports: [] },
}

const files = suite('readComposeFiles')
const compose = suite('readComposeProject against Docker Compose')
const withCompose = hasCompose() ? compose : compose.skip

for (const [title, { files: content, env = {}, name = 't', ports }] of Object.entries(CASES)) {
  files(`finds ${title}`, async () => {
    const project = await readComposeProject(projectFolder(content), alone(env))
    assert.equal([project.name, ...published(project)], [name, ...ports])
  })
  withCompose(`agrees on ${title}`, async () => {
    const project = await readComposeProject(projectFolder(content), cleanEnv(env))
    assert.equal([project.name, ...published(project)], [name, ...ports])
  })
}

files('tells file, line and variable of each port', async () => {
  const content = '["${P:-1}:80", "$Q:81", "1${P}:82", {target: 83, published: "${P-7}"}, "8000-8001:90-91", "${R}:92"]'
  const root = projectFolder({
    'docker-compose.yml': service(content),
    'docker-compose.override.yml': 'services:\n  a:\n    ports:\n      - "127.0.0.1:${S:-5}:93/udp"\n',
  })
  const { ports } = await readComposeProject(root, alone({ P: '2', Q: '3', R: '4000-4001' }))
  assert.equal(
    ports.map(({ first, variable, origin }) => [first, variable, origin]),
    [
      [2, 'P', 'docker-compose.yml:5'],
      [3, 'Q', 'docker-compose.yml:5'],
      [12, undefined, 'docker-compose.yml:5'],
      [2, 'P', 'docker-compose.yml:5'],
      [8000, undefined, 'docker-compose.yml:5'],
      [8001, undefined, 'docker-compose.yml:5'],
      [4000, undefined, 'docker-compose.yml:5'],
      [5, 'S', 'docker-compose.override.yml:4'],
    ],
  )
})

files('decides alone where Compose gives no answer in 10 s', async () => {
  const root = projectFolder({
    'compose.yaml': service('["8080:80"]'),
    'bin/docker': '#!/bin/sh\n[ "$2" = version ] && echo 2.40.0 && exit\ntrap \'\' TERM\nexec /bin/sleep 30\n',
  })
  chmodSync(path.join(root, 'bin/docker'), 0o755)
  const project = await readComposeProject(root, cleanEnv({ PATH: path.join(root, 'bin') }))
  assert.equal(published(project), ['a *:8080->80/tcp'])
})

files('gives the environment of each service, in both forms', async () => {
  const environment = '    environment: [A=1, B=x=y, C, D]\n'
  const root = projectFolder({
    'compose.yaml': service('[]', environment),
    'compose.override.yaml': 'services: { a: { environment: { A: "pa$$ss", E: 2, F: } } }\n',
  })
  const expected = { A: 'pa$ss', B: 'x=y', C: 'shell', D: '', E: '2', F: '' }
  const read = async (env: NodeJS.ProcessEnv) => (await readComposeProject(root, env)).environments.get('a')
  assert.equal(await read(alone({ C: 'shell' })), expected)
  if (hasCompose()) assert.equal(await read(cleanEnv({ C: 'shell' })), expected)
})

files("reads the shipped file as Compose does, with all of the template's variables changed", async () => {
  const values = {
    BIND_ADDRESS: '0.0.0.0',
    ZOOKEEPER_CLIENT_PORT: '12181',
    REDIS_PORT: '16380',
    CLICKHOUSE_TCP_PORT: '19000',
  }
  const ports = published(await readComposeProject(ROOT, alone({ COMPOSE_FILE: 'docker-compose.yml', ...values })))
  assert.equal(ports, [
    'clickhouse 0.0.0.0:19000->9000/tcp',
    'clickhouse 0.0.0.0:8123->8123/tcp',
    'kafka 0.0.0.0:9092->9092/tcp',
    'kafka-ui 0.0.0.0:8080->8080/tcp',
    'redis 0.0.0.0:16380->6379/tcp',
    'zookeeper 0.0.0.0:12181->2181/tcp',
  ])
})

/** Projects with mistakes, and where those are. */
const WRONG: Record<string, [Record<string, string>, [string, RegExp][]]> = {
  'every bad port at once': [
    { 'compose.yaml': service('\n      - "a:80"\n      - "1:1"\n      - "localhost:2:2"\n      - {published: 3}') },
    [
      ['compose.yaml:6', /^host port "a" in ports of a$/],
      ['compose.yaml:8', /^IP address "localhost"/],
      ['compose.yaml:9', /^no target/],
    ],
  ],
  'a port that .env makes bad': [
    { 'compose.yaml': service('["${P:-1}:80"]'), '.env': 'P=abc\n' },
    [['compose.yaml:5', /^host port "abc"/]],
  ],
  'a reference that is not closed, anywhere': [
    { 'compose.yaml': service('["1:1"]', '    hostname: "${H"\n') },
    [['compose.yaml:5', /^a "\$\{" that is not closed$/]],
  ],
  'a required variable that is not set': [
    { 'compose.yaml': service('["${P:?choose one}:80"]') },
    [['compose.yaml:5', /^a required variable that is not set$/]],
  ],
  'a mistake of syntax': [
    { 'compose.yaml': 'services:\n  a:\n   image: x\n  ports: [\n' },
    [['compose.yaml:5', /Flow sequence/i]],
  ],
  'ports that are no list': [{ 'compose.yaml': service('{80: 80}') }, [['compose.yaml:5', /^no list$/]]],
  'an empty file': [{ 'compose.yaml': '# nothing\n' }, [['compose.yaml:1', /^nothing$/]]],
  'mistakes in the override file': [
    {
      'docker-compose.yml': service('["1:1"]'),
      'docker-compose.override.yml': 'services:\n  a:\n    ports: ["x:1"]\n',
    },
    [['docker-compose.override.yml:3', /^host port "x"/]],
  ],
}
for (const [title, [content, expected]] of Object.entries(WRONG)) {
  const check = async (env: NodeJS.ProcessEnv) => {
    try {
      await readComposeProject(projectFolder(content), env)
    } catch (error) {
      if (!(error instanceof OpsError)) throw error
      assert.is(error.exitCode, 2)
      assert.equal(
        error.findings.map(({ subject }) => subject),
        expected.map(([subject]) => subject),
      )
      for (const [index, [, found]] of expected.entries()) assert.match(error.findings[index]?.found ?? '', found)
      return
    }
    assert.unreachable('accepted')
  }
  files(`refuses ${title} with file and line`, () => check(alone()))
  withCompose(`refuses ${title} with file and line, as Compose does`, () => check(cleanEnv()))
}

files('refuses a folder without a compose file, and a COMPOSE_FILE that is not there', () => {
  const refused = (env: NodeJS.ProcessEnv) => {
    const root = projectFolder()
    const lookup = composeLookup(env, root)
    try {
      readComposeFiles(root, (name) => lookup(name)?.text)
    } catch (error) {
      return error instanceof OpsError ? [error.exitCode, error.findings[0]?.hint] : error
    }
    return 'accepted'
  }
  assert.equal(refused({}), [2, 'git checkout docker-compose.yml'])
  assert.equal(refused({ COMPOSE_FILE: 'none.yml' }), [2, 'unset COMPOSE_FILE'])
})

const ONLY_COMPOSE: Record<string, [string, string[]]> = {
  extends: ['services:\n  b: { image: x, ports: ["1:1"] }\n  a: { extends: b }\n', ['a *:1->1/tcp', 'b *:1->1/tcp']],
  '!override': ['services:\n  a: { image: x, ports: !override ["2:2"] }\n', ['a *:2->2/tcp']],
}
for (const [what, [content, ports]] of Object.entries(ONLY_COMPOSE)) {
  const root = projectFolder({ 'compose.yaml': service('["9:9"]'), 'compose.override.yaml': content })
  files(`cannot tell without Compose: ${what}`, async () => {
    try {
      await readComposeProject(root, alone())
      assert.unreachable('told')
    } catch (error) {
      assert.is((error as OpsError).exitCode, 3)
    }
  })
  withCompose(`leaves to Compose: ${what}`, async () => {
    const found = published(await readComposeProject(root, cleanEnv()))
    for (const port of ports) assert.ok(found.includes(port), `${port} in ${found}`)
  })
}
files.run()

withCompose('passes on why Compose refuses what the files alone allow', async () => {
  const root = projectFolder({ 'compose.yaml': service('["1:1"]', '    imagine: y\n') })
  try {
    await readComposeProject(root, cleanEnv())
    assert.unreachable('accepted')
  } catch (error) {
    assert.is((error as OpsError).exitCode, 2)
    assert.match((error as OpsError).findings[0]?.found ?? '', /imagine/)
  }
})

withCompose('accepts the shipped file with no .env and with the template as .env, and reads both alike', async () => {
  const env = cleanEnv({ COMPOSE_FILE: 'docker-compose.yml' })
  for (const more of [[], ['--env-file', '.env.template']]) {
    const { status, stderr } = spawnSync('docker', ['compose', ...more, 'config', '--quiet'], {
      cwd: ROOT,
      env,
      encoding: 'utf8',
    })
    assert.equal([status, stderr], [0, ''])
  }
  const lookup = composeLookup(env, ROOT)
  const read = readComposeFiles(ROOT, (name) => lookup(name)?.text)
  const asked = await readComposeProject(ROOT, env)
  const sorted = ({ ports }: ComposeProject) => ports.map((port) => JSON.stringify(port)).sort()
  assert.equal(sorted(read), sorted(asked))
  for (const [name, environment] of read.environments) assert.equal(environment, asked.environments.get(name))
})
compose.run()
