import { readFileSync } from 'node:fs'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ingestStatements } from '../../scripts/lib/clickhouse/statements.mts'
import { type Finding, OpsError } from '../../scripts/lib/common/findings.mts'
import { embeddedServices } from '../../scripts/lib/engines/embedded/services.mts'
import { parseEnvFile } from '../../scripts/lib/settings/env-file.mts'
import { composeLookup, isSecret, lookupFor } from '../../scripts/lib/settings/environment.mts'
import { interpolate } from '../../scripts/lib/settings/interpolate.mts'
import { templateValues } from '../../scripts/lib/settings/production.mts'
import { EXTRA_GRANTS, parseBytes } from '../../scripts/lib/settings/readers.mts'
import { ROOT, readSettings, VARIABLES, variablesOf } from '../../scripts/lib/settings/settings.mts'
import { readDeclaredTopics } from '../../scripts/lib/topics/file.mts'
import { runScript } from '../support/command.mts'
import { projectFolder } from '../support/project.mts'
import { sharedStack } from '../support/stack.mts'

const TEMPLATE = readFileSync(path.join(ROOT, '.env.template'), 'utf8')
const COMPOSE = ['docker-compose.yml', 'docker-compose.kraft.yml', 'docker-compose.prod.yml']
  .map((file) => readFileSync(path.join(ROOT, file), 'utf8'))
  .join('\n')

/** Returns the findings with which readSettings fails, and checks the exit code of invalid configuration. */
function refusal(env: NodeJS.ProcessEnv, dotEnv = ''): Finding[] {
  try {
    readSettings(env, projectFolder({ '.env': dotEnv, '.env.template': TEMPLATE }))
  } catch (error) {
    if (!(error instanceof OpsError)) throw error
    assert.is(error.exitCode, 2)
    return error.findings
  }
  throw new Error('Cannot report what is refused: the settings were accepted')
}

const lookups = suite('lookupFor')
const origins = (env: NodeJS.ProcessEnv, files: Record<string, string>) => {
  const lookup = lookupFor(env, projectFolder(files))
  return (name: string) => {
    const { text, origin } = lookup(name) ?? {}
    return [text, origin]
  }
}

lookups('prefers the shell to .env, and .env to the template', () => {
  const of = origins({ A: '1' }, { '.env': 'A=2\nB=2\n', '.env.template': 'A=3\nB=3\nC=3\n' })
  assert.equal(['A', 'B', 'C', 'D'].map(of), [
    ['1', 'shell'],
    ['2', '.env:2'],
    ['3', '.env.template:3'],
    [undefined, undefined],
  ])
})

lookups('treats an empty value as none, and lets one in the shell override .env, as Compose does', () => {
  const of = origins({ A: '' }, { '.env': 'A=2\nB=\nC=${NONE}\n', '.env.template': 'A=3\nB=3\nC=3\n' })
  assert.equal(['A', 'B', 'C'].map(of), [
    ['3', '.env.template:1'],
    ['3', '.env.template:2'],
    ['3', '.env.template:3'],
  ])
})

lookups('fills the template with what .env and the shell set', () => {
  const template = 'PORT=1\nDB=x\nSERVERS=h:${PORT}\nNAME=${DB}\n'
  const of = origins({ DB: 'shell' }, { '.env': 'PORT=2\n', '.env.template': template })
  assert.equal(
    ['SERVERS', 'NAME'].map((name) => of(name)[0]),
    ['h:2', 'shell'],
  )
})

lookups('names every reference that cannot be resolved, but no value', () => {
  const root = projectFolder({ '.env': 'A=1\nB=se${cret\nC=${D:?set D first}\n' })
  assert.throws(
    () => composeLookup({}, root),
    (error: OpsError) => {
      assert.is(error.exitCode, 2)
      assert.equal(
        error.findings.map(({ code, subject, found }) => [code, subject, found]),
        [
          ['ENV_SYNTAX', '.env:2 B', 'an unclosed "${"'],
          ['ENV_SYNTAX', '.env:3 C', 'a required variable that is not set'],
        ],
      )
      return true
    },
  )
})

lookups('works without .env and template', () => {
  assert.equal(origins({ A: '1' }, {})('A'), ['1', 'shell'])
  assert.equal(origins({}, {})('A'), [undefined, undefined])
})
lookups.run()

const reading = suite('readSettings')

reading("returns the template's values with their types", () => {
  const settings = readSettings({}, projectFolder({ '.env.template': TEMPLATE }))
  const { KAFKA_LISTENER_PORT, KAFKA_BOOTSTRAP_SERVERS, REDIS_MAX_MEMORY, REDIS_PASSWORD, CLICKHOUSE_PORT } = settings
  assert.equal(
    { KAFKA_LISTENER_PORT, KAFKA_BOOTSTRAP_SERVERS, REDIS_MAX_MEMORY, REDIS_PASSWORD, CLICKHOUSE_PORT },
    {
      KAFKA_LISTENER_PORT: 9092,
      KAFKA_BOOTSTRAP_SERVERS: ['127.0.0.1:9092'],
      REDIS_MAX_MEMORY: 2 * 1024 ** 3,
      REDIS_PASSWORD: '',
      CLICKHOUSE_PORT: 8123,
    },
  )
})

reading("applies a changed port to the clients' addresses", () => {
  const root = projectFolder({ '.env.template': TEMPLATE, '.env': 'CLICKHOUSE_HTTP_PORT=8124\n' })
  const settings = readSettings({ KAFKA_LISTENER_PORT: '9192' }, root)
  assert.is(settings.CLICKHOUSE_PORT, 8124)
  assert.equal(settings.KAFKA_BOOTSTRAP_SERVERS, ['127.0.0.1:9192'])
})

const WRONG: [string, string, string][] = [
  ['REDIS_PORT', '0', 'an integer from 1 to 65535'],
  ['REDIS_PORT', '65536', 'an integer from 1 to 65535'],
  ['REDIS_PORT', '6380a', 'an integer from 1 to 65535'],
  ['REDIS_PORT', '6380.5', 'an integer from 1 to 65535'],
  ['REDIS_PORT', '-1', 'an integer from 1 to 65535'],
  ['KAFKA_LOG_RETENTION_HOURS', '0', 'an integer from 1 to 876000'],
  ['KAFKA_BROKER_ID', '2147483648', 'an integer from 0 to 2147483647'],
  ['MARKET_L2_RETENTION_DAYS', '-1', 'an integer from 0 to 36500'],
  ['BIND_ADDRESS', 'localhost', 'an IPv4 address such as 127.0.0.1'],
  ['BIND_ADDRESS', '::1', 'an IPv4 address such as 127.0.0.1'],
  ['BIND_ADDRESS', '127.0.0.256', 'an IPv4 address such as 127.0.0.1'],
  ['KAFKA_ADVERTISED_HOST', 'a b', 'a host name or address, without a port'],
  ['CLICKHOUSE_HOST', '127.0.0.1:8123', 'a host name or address, without a port'],
  ['CLICKHOUSE_HOST', '127.0.0.256', 'a host name or address, without a port'],
  ['CLICKHOUSE_MEMORY_LIMIT', '9'.repeat(20), 'a size such as 896m'],
  ['REDIS_MAX_MEMORY', '0m', 'a size such as 896m'],
  ['KAFKA_HEAP', '320', 'a size such as 320m'],
  ['KAFKA_MEMORY_LIMIT', '560x', 'a size such as 896m'],
  ['CLICKHOUSE_DB', 'l2-data', 'letters, digits and "_", not beginning with a digit'],
  ['REDIS_MAX_MEMORY_POLICY', 'lru', 'an eviction policy such as allkeys-lru'],
  ['KAFKA_BOOTSTRAP_SERVERS', 'a:1,b', 'host:port, host:port …'],
  ['KAFKA_IMAGE', 'a b', 'an image name'],
  ['KAFKA_UI_READONLY', 'yes', 'true or false'],
  ['CLICKHOUSE_READONLY_USER', 'a-b', 'letters, digits and "_", not beginning with a digit, not "default"'],
  ['CLICKHOUSE_EXTRA_GRANTS', 'FILE, ALL', `a list of ${EXTRA_GRANTS.join(', ')}`],
  ['CLICKHOUSE_EXTRA_GRANTS', 'FILE ON *.* TO x', `a list of ${EXTRA_GRANTS.join(', ')}`],
]
for (const [variable, value, expected] of WRONG) {
  reading(`refuses ${variable}=${value}`, () => {
    const [finding] = refusal({}, `# one\n${variable}='${value}'\n`)
    assert.equal([finding?.code, finding?.subject, finding?.found], ['SETTING', `.env:2 ${variable}`, `"${value}"`])
    assert.is(finding?.expected, expected)
    assert.is(finding?.hint, `edit .env: ${variable}=…`)
  })
}

reading('names every mistake at once', () => {
  const findings = refusal({ REDIS_HOST: 'a b' }, 'REDIS_PORT=x\nKAFKA_HEAP=y\n')
  assert.equal(
    findings.map(({ subject, hint }) => [subject, hint]),
    [
      ['.env:2 KAFKA_HEAP', 'edit .env: KAFKA_HEAP=…'],
      ['.env:1 REDIS_PORT', 'edit .env: REDIS_PORT=…'],
      ['shell REDIS_HOST', 'unset REDIS_HOST'],
    ],
  )
})

reading('never shows a password', () => {
  const findings = refusal({}, 'REDIS_PASSWORD=\'hush hush\'\nCLICKHOUSE_PASSWORD="hu\tsh"\n')
  assert.is(findings.length, 2)
  assert.not.match(JSON.stringify(findings), 'hu')
})

reading('shows no password that another variable contains or may contain', () => {
  const env = "REDIS_PASSWORD='hush'\nREDIS_PORT=${REDIS_PASSWORD}1\nREDIS_HOST=redis://me:hush2@there\n"
  assert.equal(
    refusal({}, env).map(({ subject, found }) => [subject, found]),
    [
      ['.env:2 REDIS_PORT', 'an invalid value (not shown)'],
      ['.env:3 REDIS_HOST', 'an invalid value (not shown)'],
    ],
  )
})

reading('truncates a long value', () => {
  assert.is(refusal({}, `REDIS_PORT=${'x'.repeat(1000)}\n`)[0]?.found, `"${'x'.repeat(80)}…"`)
})

reading('refuses values that programs read differently, for its own variables only', () => {
  const findings = refusal({}, 'REDIS_PASSWORD=a#b\nCLICKHOUSE_PASSWORD=$word\nTHEIR_PASSWORD=a#b\n')
  assert.equal(
    findings.map(({ code, subject }) => [code, subject]),
    [
      ['ENV_AMBIGUOUS', '.env:2 CLICKHOUSE_PASSWORD'],
      ['ENV_AMBIGUOUS', '.env:1 REDIS_PASSWORD'],
    ],
  )
})

reading('reads sources as a list', () => {
  assert.equal(readSettings({ CLICKHOUSE_EXTRA_GRANTS: 'FILE,  URL' }).CLICKHOUSE_EXTRA_GRANTS, ['FILE', 'URL'])
  assert.equal(readSettings({}).CLICKHOUSE_EXTRA_GRANTS, [])
})

const PAIRS: [string, string, string, string, string][] = [
  [
    'REDIS_MAX_MEMORY=2gb\nREDIS_MEMORY_LIMIT=2867m\n',
    'REDIS_MEMORY_LIMIT',
    '2867m',
    '2868m',
    'REDIS_MEMORY_LIMIT=2868m',
  ],
  ['REDIS_MAX_MEMORY=4gb\n', 'REDIS_MEMORY_LIMIT', '2880m', '5735m', 'REDIS_MEMORY_LIMIT=5735m'],
]
for (const [dotEnv, variable, found, least, right] of PAIRS) {
  reading(`refuses ${dotEnv.trim().replace('\n', ', ')}, and accepts ${right}`, () => {
    const [finding, ...more] = refusal({}, dotEnv)
    assert.equal([finding?.subject.split(' ')[1], finding?.found, more.length], [variable, found, 0])
    assert.is(finding?.expected, `at least ${least}, 1.4 times REDIS_MAX_MEMORY`)
    readSettings({}, projectFolder({ '.env': `${dotEnv}${right}\n`, '.env.template': TEMPLATE }))
  })
}

reading('refuses a read-only user without a password or with the name of the other', () => {
  const refused = (dotEnv: string) => refusal({}, dotEnv).map(({ subject, found }) => [subject.split(' ')[1], found])
  assert.equal(refused('CLICKHOUSE_READONLY_USER=reader\n'), [['CLICKHOUSE_READONLY_PASSWORD', 'none']])
  assert.equal(refused('CLICKHOUSE_READONLY_USER=l2_user\nCLICKHOUSE_READONLY_PASSWORD=x\n'), [
    ['CLICKHOUSE_READONLY_USER', '"l2_user", the same as CLICKHOUSE_USER'],
  ])
})

reading('refuses more in-sync replicas than replicas', () => {
  const env = 'KAFKA_REPLICATION_FACTOR=2\nKAFKA_MIN_INSYNC_REPLICAS='
  assert.equal(
    refusal({}, `${env}3\n`).map(({ subject, found, expected }) => [subject, found, expected]),
    [['.env:2 KAFKA_MIN_INSYNC_REPLICAS', '3', 'at most 2, KAFKA_REPLICATION_FACTOR']],
  )
  readSettings({}, projectFolder({ '.env': `${env}2\n`, '.env.template': TEMPLATE }))
})

reading('refuses one port for two services', () => {
  const [finding] = refusal({}, 'REDIS_PORT=8123\n')
  assert.is(finding?.subject, '.env:1 REDIS_PORT')
  assert.is(finding?.found, 'port 8123, which CLICKHOUSE_HTTP_PORT also uses')
})
reading.run()

const bytes = suite('memory sizes')
bytes('are powers of 1024 for Docker', () => {
  const sizes = ['1', '2b', '3k', '3kb', '4m', '4M', '5g', '5gb'].map(parseBytes)
  assert.equal(sizes, [1, 2, 3072, 3072, 4 * 1024 ** 2, 4 * 1024 ** 2, 5 * 1024 ** 3, 5 * 1024 ** 3])
  for (const wrong of ['', '0', '-1', '1.5g', '1t', 'g', '1 g'])
    assert.throws(() => parseBytes(wrong), 'a size such as')
})

bytes('are powers of 1000 for Redis without a "b" at the end', () => {
  const of = (text: string) => VARIABLES.REDIS_MAX_MEMORY(text)
  assert.equal(['1k', '1kb', '1m', '1mb', '2g', '2gb', '7'].map(of), [
    1000,
    1024,
    1000 ** 2,
    1024 ** 2,
    2 * 1000 ** 3,
    2 * 1024 ** 3,
    7,
  ])
})
bytes.run()

const published = templateValues()
const variables = suite('variables')
const templateNames = parseEnvFile(TEMPLATE, '.env.template').map(({ name }) => name)

/** Returns the text of the compose files with variables filled in, and the names of the variables used. */
function fillCompose(values: Record<string, string>): { text: string; asked: Set<string> } {
  const asked = new Set<string>()
  // Variables required by docker-compose.prod.yml have no default, and their published values count as unset.
  const required = (_: string, name: string) => {
    asked.add(name)
    return values[name] === published.get(name) ? '' : (values[name] ?? '')
  }
  const compose = COMPOSE.replace(/^\s*#.*$/gm, '').replaceAll(/\$\{(\w+):\?[^}]*\}/g, required)
  const text = interpolate(compose, (name) => {
    asked.add(name)
    return values[name]
  })
  return { text, asked }
}

variables('are the same in the template and the scripts, each once', () => {
  assert.equal([...templateNames].sort(), Object.keys(VARIABLES).sort())
})

variables('of the compose files are all in the template, with the same defaults', () => {
  const lookup = lookupFor({}, projectFolder({ '.env.template': TEMPLATE }))
  const { text, asked } = fillCompose({})
  assert.equal(
    [...asked].filter((name) => !templateNames.includes(name)),
    [],
  )
  const values = Object.fromEntries(templateNames.map((name) => [name, lookup(name)?.text ?? '']))
  assert.is(fillCompose(values).text, text)
})

variables('that are secrets end in # CHANGEME, and no others', () => {
  const marked = [...TEMPLATE.matchAll(/^(\w+)=.* # CHANGEME$/gm)].map(([, name]) => name)
  assert.equal(marked, templateNames.filter(isSecret))
})

/** Returns another valid value for the variable. */
function other(value: string): string {
  if (/^\d+$/.test(value)) return String(Number(value) + 1)
  if (/^\d+[a-z]+$/.test(value)) return `1${value}`
  if (value === 'allkeys-lru') return 'noeviction'
  if (value === 'off') return 'on'
  return value.includes('127.0.0.1') ? value.replace('127.0.0.1', '127.0.0.2') : `${value}x`
}

/** Other values of variables for which {@link other} returns no valid one. */
const OTHERS: Record<string, string> = {
  KAFKA_MODE: 'kraft',
  REDIS_MAX_MEMORY: '1gb',
  CLICKHOUSE_READONLY_USER: 'reader',
  CLICKHOUSE_EXTRA_GRANTS: 'FILE',
  KAFKA_UI_READONLY: 'true',
  EMBEDDED_UI: 'off',
}

/** Variables that only set where clients connect, each with an address where nothing listens. */
const CLIENTS: Record<string, string> = {
  KAFKA_BOOTSTRAP_SERVERS: '127.0.0.1:1',
  CLICKHOUSE_HOST: '127.0.0.2',
  CLICKHOUSE_PORT: '1',
  CLICKHOUSE_DATABASE: 'elsewhere',
  REDIS_HOST: '127.0.0.2',
}

/** Variables that set how clients connect. Most are valid only together with others. test/cluster and s3.test.mts connect with them. */
const CONNECTIONS = /^(KAFKA_(SECURITY|SASL|SSL)_.*|CLICKHOUSE_(SECURE|CA_CERT)|REDIS_(USERNAME|TLS|CA_CERT)|S3_.*)$/

/** Variables that only the creation and comparison of tables uses. */
const SCHEMA = templateNames.filter((name) => name === 'CLICKHOUSE_CLUSTER' || name.endsWith('_RETENTION_DAYS'))

variables('each change what is started or declared, except for those of clients and of the schema', () => {
  const root = projectFolder({ '.env.template': TEMPLATE })
  const installed = { java: '', jars: [], libraries: '', redisServer: '', archives: { folder: '', existing: [] } }
  const effect = (changes: Record<string, string>) => {
    const values = { CLICKHOUSE_READONLY_PASSWORD: 'read', KAFKA_REPLICATION_FACTOR: '3', ...changes }
    const settings = readSettings(values, root)
    return JSON.stringify([
      fillCompose(values).text,
      // The page gets all settings, of which it shows only what follows from them.
      embeddedServices(settings, installed).map(({ env, ...service }) =>
        service.name === 'ui' ? service : { ...service, env },
      ),
      readDeclaredTopics(settings),
      ingestStatements(settings),
      settings.INGEST,
      settings.UI_PORT,
    ])
  }
  const lookup = lookupFor({}, root)
  const idle = templateNames.filter(
    (name) =>
      !CONNECTIONS.test(name) && effect({ [name]: OTHERS[name] ?? other(lookup(name)?.text ?? '') }) === effect({}),
  )
  // The built-in ingest looks for its views in this database.
  const clients = Object.keys(CLIENTS).filter((name) => name !== 'CLICKHOUSE_DATABASE')
  assert.equal(idle.sort(), [...clients, ...SCHEMA].sort())
})

variables('are exactly what a process reads that gets all of them', () => {
  const root = projectFolder({ '.env.template': TEMPLATE })
  const env = { KAFKA_BOOTSTRAP_SERVERS: 'a:1,[::1]:2', CLICKHOUSE_EXTRA_GRANTS: 'FILE,URL', REDIS_PASSWORD: 'p\'$a"#' }
  const settings = readSettings(env, root)
  assert.equal(readSettings(variablesOf(settings), root), settings)
})

variables('of clients change where the scripts connect', async () => {
  const stack = await sharedStack()
  const findings = async (env: NodeJS.ProcessEnv): Promise<Finding[]> => {
    const args = ['--json', '--only', 'kafka,clickhouse,redis']
    const { stdout } = await runScript('health-check.mts', args, { env: { ...stack.env, ...env } })
    return JSON.parse(stdout).findings
  }
  try {
    const before = await findings({})
    for (const [name, value] of Object.entries(CLIENTS))
      assert.not.equal(await findings({ [name]: value }), before, name)
    assert.equal(await findings({}), before)
  } finally {
    await stack.stop()
  }
})
variables.run()
