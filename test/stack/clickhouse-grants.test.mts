/** What the users of ClickHouse may do: every privilege, every source, and every way to access a file or an address. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { applyInitFiles, startStack, type TestStack } from '../support/stack.mts'

const READER_PASSWORD = 'read "<&>\' only'
const DB = 'market_of_rights'
const folder = mkdtempSync(path.join(tmpdir(), 'l2-rights-'))
const secret = path.join(folder, 'secret.txt')
writeFileSync(secret, 'not yours\n')
const stack = await startStack(['clickhouse'], {
  CLICKHOUSE_DB: DB,
  CLICKHOUSE_READONLY_USER: 'reader',
  CLICKHOUSE_READONLY_PASSWORD: READER_PASSWORD,
})

/** Runs a query over HTTP. Returns `done` or the result, or the server's error code. */
async function ask(
  query: string,
  {
    user = 'l2_user',
    password = 'l2_secure_pass',
    of = stack,
  }: { user?: string; password?: string; of?: TestStack } = {},
): Promise<string> {
  const url = `http://127.0.0.1:${of.settings.CLICKHOUSE_HTTP_PORT}/?database=${user === 'default' ? 'default' : DB}`
  const headers = {
    Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
    Connection: 'close',
  }
  const response = await fetch(url, { method: 'POST', headers, body: query })
  const text = (await response.text()).trim()
  return response.ok ? text || 'done' : (/Code: (\d+)/.exec(text)?.[1] ?? text)
}
const lines = async (query: string) => (await ask(`${query} FORMAT TSVRaw`)).split('\n')
const reader = (query: string) => ask(query, { user: 'reader', password: READER_PASSWORD })

const ACCESS_DENIED = '497'
const grants = suite('grants of CLICKHOUSE_USER')

grants.before(() => applyInitFiles(stack.settings))

/** Privileges on its own database. */
const OWN =
  'SHOW DATABASES, SHOW TABLES, SHOW COLUMNS, SHOW DICTIONARIES, CHECK, SELECT, INSERT, CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP DATABASE, ' +
  'DROP TABLE, DROP VIEW, UNDROP TABLE, TRUNCATE, OPTIMIZE, SYSTEM MERGES, SYSTEM TTL MERGES, SYSTEM VIEWS'
/** Privileges that are not limited to a database. */
const GLOBAL = 'CREATE TEMPORARY TABLE, CREATE TEMPORARY VIEW, CREATE ARBITRARY TEMPORARY TABLE, KAFKA'

grants('are exactly these, by every privilege that the server knows', async () => {
  const privileges = await lines(
    "SELECT privilege, ifNull(toString(level), '') FROM system.privileges WHERE level IS NOT NULL AND privilege NOT IN ('SOURCES', 'READ', 'WRITE', 'NONE', 'ALL')",
  )
  assert.ok(privileges.length > 150, `found only ${privileges.length} privileges`)
  const [own, everywhere, elsewhere]: [string[], string[], string[]] = [[], [], []]
  for (const [privilege = '', level = ''] of privileges.map((line) => line.split('\t'))) {
    const granted = async (object: string) => (await ask(`CHECK GRANT ${privilege} ON ${object}`)) === '1'
    if (/^(DATABASE|TABLE|COLUMN|VIEW|DICTIONARY)$/.test(level)) {
      if (await granted(`${DB}.*`)) own.push(privilege)
      if (await granted('other.*')) elsewhere.push(privilege)
    } else if (await granted(level === 'GLOBAL' ? '*.*' : 'other')) everywhere.push(privilege)
  }
  const alter = privileges.flatMap(
    (line) => /^(ALTER (?!NAMED|USER|ROLE|ROW|MASKING|QUOTA|SETTINGS PROFILE).*)\t/.exec(line)?.[1] ?? [],
  )
  assert.equal(own.sort(), [...OWN.split(', '), ...alter].sort())
  assert.equal(everywhere.sort(), GLOBAL.split(', ').sort())
  assert.equal(elsewhere, [])
})

grants(
  'cover databases that begin with its name, reading system and information_schema, and nothing else',
  async () => {
    assert.is(await ask(`CREATE DATABASE ${DB}_second`), 'done')
    assert.is(await ask(`CREATE TABLE ${DB}_second.t (a Int8) ENGINE = MergeTree ORDER BY a`), 'done')
    assert.is(await ask(`DROP DATABASE ${DB}_second SYNC`), 'done')
    assert.is(await ask('SELECT count() > 0 FROM system.settings'), '1')
    assert.is(await ask('SELECT count() > 0 FROM information_schema.tables'), '1')
    const refused = [
      'CREATE DATABASE other',
      'CREATE TABLE default.t (a Int8) ENGINE = Memory',
      'DROP DATABASE default',
      'DROP TABLE system.one',
      'SYSTEM SHUTDOWN',
      'SYSTEM STOP LISTEN HTTP',
      'CREATE FUNCTION f AS x -> x',
      'CREATE NAMED COLLECTION c AS a = 1',
      'CREATE VIEW v SQL SECURITY NONE AS SELECT 1',
      'CREATE VIEW v DEFINER = default SQL SECURITY DEFINER AS SELECT 1',
      `CREATE ROW POLICY p ON ${DB}.market_ticks USING 1 TO ALL`,
    ]
    for (const query of refused) assert.is(await ask(query), ACCESS_DENIED, query)
  },
)

grants(
  'let it see and kill only its own queries: the one that keeps the embedded server running continues',
  async () => {
    assert.not.match(await ask('SELECT user FROM system.processes'), /default/)
    assert.is(await ask("KILL QUERY WHERE user = 'default' SYNC"), 'done')
    assert.is(await ask('SELECT 1'), '1')
  },
)
grants.run()

const sources = suite('data sources of CLICKHOUSE_USER')
const web = "'http://127.0.0.1:1/bucket/key'"
const azure = "'http://127.0.0.1:1/account', 'container', 'path', 'account', 'a2V5'"
const [HARMLESS, NO_CLUSTER, NO_SUCH_SCRIPT] = ['yes', '701', '1']

/** Each table function with valid arguments, and the outcome. */
const FUNCTIONS: Record<string, [args: string, outcome: string]> = {
  // Generate rows, or read only what the grants allow.
  dictionary: ["'none'", HARMLESS],
  eval: ["'SELECT 1'", HARMLESS],
  format: ["TSV, 'a Int8', '1'", HARMLESS],
  fuzzJSON: ["'{}'", HARMLESS],
  fuzzQuery: ["'SELECT 1'", HARMLESS],
  generateRandom: ["'a Int8'", HARMLESS],
  generateSeries: ['1, 2', HARMLESS],
  generate_series: ['1, 2', HARMLESS],
  input: ["'a Int8'", HARMLESS],
  loop: ['system.one', HARMLESS],
  merge: ["'system', '^one$'", HARMLESS],
  mergeTreeAnalyzeIndexes: [`'${DB}', 'market_ticks'`, HARMLESS],
  mergeTreeAnalyzeIndexesUUID: ["'00000000-0000-0000-0000-000000000001'", HARMLESS],
  mergeTreeIndex: [`'${DB}', 'market_ticks'`, HARMLESS],
  mergeTreeProjection: [`'${DB}', 'market_ticks', 'none'`, HARMLESS],
  mergeTreeTextIndex: [`'${DB}', 'market_ticks', 'none'`, HARMLESS],
  null: ["'a Int8'", HARMLESS],
  numbers: ['1', HARMLESS],
  numbers_mt: ['1', HARMLESS],
  primes: ['1', HARMLESS],
  prometheusQuery: [`'${DB}', 'none', 'up', 0`, HARMLESS],
  prometheusQueryRange: [`'${DB}', 'none', 'up', 0, 1, 1`, HARMLESS],
  SQLStandardValues: ["('a')", HARMLESS],
  timeSeriesData: [`'${DB}', 'none'`, HARMLESS],
  timeSeriesMetrics: [`'${DB}', 'none'`, HARMLESS],
  timeSeriesSamples: [`'${DB}', 'none'`, HARMLESS],
  timeSeriesSelector: [`'${DB}', 'none', 'up', 0, 1`, HARMLESS],
  timeSeriesTags: [`'${DB}', 'none'`, HARMLESS],
  values: ["'a Int8', 1", HARMLESS],
  view: ['SELECT 1', HARMLESS],
  viewExplain: ["'EXPLAIN', '', (SELECT 1)", HARMLESS],
  viewIfPermitted: ["SELECT 1 AS a ELSE null('a UInt8')", HARMLESS],
  zeros: ['1', HARMLESS],
  zeros_mt: ['1', HARMLESS],
  // Access to files, addresses and programs.
  file: [`'${secret}', 'LineAsString'`, ACCESS_DENIED],
  filesystem: [`'${folder}'`, ACCESS_DENIED],
  url: ["'http://127.0.0.1:1/', 'LineAsString', 'a String'", ACCESS_DENIED],
  executable: ["'id', 'TSV', 'a String'", NO_SUCH_SCRIPT],
  remote: ["'127.0.0.1:1', system.one", ACCESS_DENIED],
  remoteSecure: ["'127.0.0.1:1', system.one", ACCESS_DENIED],
  s3: [`${web}, 'TSV', 'a Int8'`, ACCESS_DENIED],
  gcs: [`${web}, 'TSV', 'a Int8'`, ACCESS_DENIED],
  oss: [`${web}, 'TSV', 'a Int8'`, ACCESS_DENIED],
  cosn: [`${web}, 'TSV', 'a Int8'`, ACCESS_DENIED],
  hdfs: ["'hdfs://127.0.0.1:1/f', 'TSV', 'a Int8'", ACCESS_DENIED],
  azureBlobStorage: [`${azure}, 'TSV', 'auto', 'a Int8'`, ACCESS_DENIED],
  deltaLake: [web, ACCESS_DENIED],
  deltaLakeS3: [web, ACCESS_DENIED],
  deltaLakeAzure: [azure, ACCESS_DENIED],
  deltaLakeLocal: [`'${folder}'`, ACCESS_DENIED],
  hudi: [web, ACCESS_DENIED],
  iceberg: [web, ACCESS_DENIED],
  icebergS3: [web, ACCESS_DENIED],
  icebergAzure: [azure, ACCESS_DENIED],
  icebergHDFS: ["'hdfs://127.0.0.1:1/f'", ACCESS_DENIED],
  icebergLocal: [`'${folder}'`, ACCESS_DENIED],
  paimon: [web, ACCESS_DENIED],
  paimonS3: [web, ACCESS_DENIED],
  paimonAzure: [azure, ACCESS_DENIED],
  paimonHDFS: ["'hdfs://127.0.0.1:1/f'", ACCESS_DENIED],
  paimonLocal: [`'${folder}'`, ACCESS_DENIED],
  mysql: ["'127.0.0.1:1', 'd', 't', 'u', 'p'", ACCESS_DENIED],
  postgresql: ["'127.0.0.1:1', 'd', 't', 'u', 'p'", ACCESS_DENIED],
  mongodb: ["'127.0.0.1:1', 'd', 't', 'u', 'p', 'a Int8'", ACCESS_DENIED],
  redis: ["'127.0.0.1:1', 'a', 'a String'", ACCESS_DENIED],
  sqlite: [`'${stack.settings.EMBEDDED_DATA_DIR}/clickhouse/s.db', 't'`, ACCESS_DENIED],
  odbc: ["'DSN=x', 'd', 't'", ACCESS_DENIED],
  jdbc: ["'x', 'd', 't'", ACCESS_DENIED],
  ytsaurus: ["'http://127.0.0.1:1', '//t', 'token', 'a Int8'", ACCESS_DENIED],
  // Through a cluster, which does not exist.
  cluster: ["'default', system.one", NO_CLUSTER],
  clusterAllReplicas: ["'default', system.one", NO_CLUSTER],
  azureBlobStorageCluster: [`'default', ${azure}, 'TSV', 'auto', 'a Int8'`, NO_CLUSTER],
  deltaLakeAzureCluster: [`'default', ${azure}`, NO_CLUSTER],
  deltaLakeCluster: [`'default', ${web}`, NO_CLUSTER],
  deltaLakeS3Cluster: [`'default', ${web}`, NO_CLUSTER],
  fileCluster: [`'default', '${secret}', 'LineAsString'`, NO_CLUSTER],
  hdfsCluster: ["'default', 'hdfs://127.0.0.1:1/f', 'TSV', 'a Int8'", NO_CLUSTER],
  hudiCluster: [`'default', ${web}`, NO_CLUSTER],
  icebergAzureCluster: [`'default', ${azure}`, NO_CLUSTER],
  icebergCluster: [`'default', ${web}`, NO_CLUSTER],
  icebergHDFSCluster: ["'default', 'hdfs://127.0.0.1:1/f'", NO_CLUSTER],
  icebergLocalCluster: [`'default', '${folder}'`, NO_CLUSTER],
  icebergS3Cluster: [`'default', ${web}`, NO_CLUSTER],
  paimonAzureCluster: [`'default', ${azure}`, NO_CLUSTER],
  paimonCluster: [`'default', ${web}`, NO_CLUSTER],
  paimonHDFSCluster: ["'default', 'hdfs://127.0.0.1:1/f'", NO_CLUSTER],
  paimonS3Cluster: [`'default', ${web}`, NO_CLUSTER],
  s3Cluster: [`'default', ${web}, 'TSV', 'a Int8'`, NO_CLUSTER],
  urlCluster: ["'default', 'http://127.0.0.1:1/', 'TSV', 'a Int8'", NO_CLUSTER],
}

sources('every table function of the server is harmless or refused', async () => {
  assert.equal(Object.keys(FUNCTIONS).sort(), (await lines('SELECT name FROM system.table_functions')).sort())
  // One at a time: on a busy machine, all at once would exceed max_concurrent_queries.
  const outcomes: [string, string][] = []
  for (const [name, [args, expected]] of Object.entries(FUNCTIONS)) {
    const answer = await ask(`SELECT * FROM ${name}(${args}) LIMIT 1`)
    // A harmless function must not be denied, but may fail otherwise because of its arguments.
    outcomes.push([name, expected === HARMLESS && answer !== ACCESS_DENIED ? HARMLESS : answer])
  }
  const expected = Object.entries(FUNCTIONS).map(([name, [, outcome]]) => [name, outcome])
  assert.equal(outcomes, expected)
})

const ENGINES =
  'AggregatingMergeTree Buffer CoalescingMergeTree CollapsingMergeTree GenerateRandom Join Kafka Log Memory Merge MergeTree Null ' +
  'ReplacingMergeTree Set StripeLog SummingMergeTree TinyLog VersionedCollapsingMergeTree'

sources('every table engine stores its data in the server, reads Kafka, or is refused', async () => {
  const engines = await lines('SELECT name FROM system.table_engines ORDER BY name')
  assert.ok(engines.length > 60)
  const open: string[] = []
  for (const engine of engines) {
    const answers = await Promise.all([
      ask(`CREATE TABLE probe_${engine} (a Int8) ENGINE = ${engine}`),
      ask(`CREATE TEMPORARY TABLE probe (a Int8) ENGINE = ${engine}`),
    ])
    if (answers.some((answer) => answer !== ACCESS_DENIED)) open.push(engine)
    await ask(`DROP TABLE IF EXISTS probe_${engine} SYNC`)
  }
  assert.equal(open, ENGINES.split(' '))
})

sources('every database engine but Atomic and Memory is refused', async () => {
  const engines = await lines('SELECT name FROM system.database_engines ORDER BY name')
  const open: string[] = []
  for (const engine of engines) {
    if ((await ask(`CREATE DATABASE ${DB}_probe ENGINE = ${engine}`)) !== ACCESS_DENIED) open.push(engine)
    await ask(`DROP DATABASE IF EXISTS ${DB}_probe SYNC`)
  }
  assert.equal(open, ['Atomic', 'Memory'])
})

sources(
  'no other feature reads a file of the machine: function, INFILE, format, disk, dictionary, backup',
  async () => {
    await ask('CREATE TABLE line (l String) ENGINE = MergeTree ORDER BY l')
    const local = `disk(type = local, path = '${folder}/disk/')`
    const attempts = [
      `SELECT file('${secret}')`,
      "SELECT file('/etc/passwd')",
      `SELECT * FROM url('file://${secret}', 'LineAsString')`,
      `INSERT INTO FUNCTION file('${secret}', 'TSVRaw', 'l String') SELECT 'appended'`,
      `INSERT INTO FUNCTION url('file://${secret}', 'TSVRaw', 'l String') SELECT 'appended'`,
      `CREATE TABLE t (l String) ENGINE = File(TSV, '${secret}')`,
      `CREATE TABLE t (l String) ENGINE = FileLog('${folder}', 'LineAsString')`,
      `CREATE TABLE t AS file('${secret}', 'LineAsString', 'l String')`,
      `CREATE VIEW t AS SELECT * FROM file('${secret}', 'LineAsString', 'l String')`,
      `INSERT INTO line FROM INFILE '${secret}' FORMAT LineAsString`,
      `SELECT 1 INTO OUTFILE '${folder}/out.txt' FORMAT TSV`,
      `SELECT 1 FORMAT Template SETTINGS format_template_row = '${secret}'`,
      `SELECT 1 FORMAT Template SETTINGS format_template_resultset = '${secret}'`,
      `SELECT 1 FORMAT Protobuf SETTINGS format_schema = '${secret}:M'`,
      `CREATE TABLE t (l String) ENGINE = MergeTree ORDER BY l SETTINGS disk = ${local}`,
      `CREATE TABLE t (l String) ENGINE = Log SETTINGS disk = ${local}`,
      "CREATE TABLE t (l String) ENGINE = MergeTree ORDER BY l SETTINGS disk = disk(type = web, endpoint = 'http://127.0.0.1:1/')",
      "ALTER TABLE line MODIFY SETTING disk = disk(type = web, endpoint = 'http://127.0.0.1:1/')",
      "CREATE DICTIONARY d (a String) PRIMARY KEY a SOURCE(EXECUTABLE(command 'id' format 'TSV')) LAYOUT(COMPLEX_KEY_HASHED()) LIFETIME(0)",
      "CREATE DICTIONARY d (a String) PRIMARY KEY a SOURCE(HTTP(url 'http://127.0.0.1:1/' format 'TSV')) LAYOUT(COMPLEX_KEY_HASHED()) LIFETIME(0)",
      "SELECT * FROM format(AvroConfluent, 'a String', unhex('0000000001')) SETTINGS format_avro_schema_registry_url = 'http://127.0.0.1:1/'",
      `BACKUP TABLE line TO File('${folder}/backup')`,
      `RESTORE TABLE line FROM File('${folder}/backup')`,
      `CREATE DATABASE ${DB}_files ENGINE = Filesystem('${folder}')`,
      `ATTACH TABLE t FROM '${folder}' (l String) ENGINE = MergeTree ORDER BY l`,
    ]
    for (const query of attempts) assert.match(await ask(query), /^\d+$/, query)
    assert.is(await ask('SELECT count() FROM line'), '0')
    assert.is(readFileSync(secret, 'utf8'), 'not yours\n')
    assert.not.ok(existsSync(path.join(folder, 'out.txt')) || existsSync(path.join(folder, 'disk')))
    // The server can read its own environment, so that must not contain a password or the hash of one.
    assert.is(await ask("SELECT match(file('/proc/self/environ'), '(?i)pass|sha256|secure')"), '0')
  },
)

sources('CLICKHOUSE_EXTRA_GRANTS opens what it names', async () => {
  const open = await startStack(['clickhouse'], { CLICKHOUSE_DB: DB, CLICKHOUSE_EXTRA_GRANTS: 'FILE, URL' })
  try {
    await ask(`CREATE DATABASE ${DB}`, { user: 'l2_user', of: open })
    const database = { of: open }
    const { CLICKHOUSE_HTTP_PORT } = open.settings
    await applyInitFiles(open.settings)
    assert.is(await ask(`SELECT * FROM file('${secret}', 'LineAsString')`, database), 'not yours')
    assert.is(
      await ask(`SELECT * FROM url('http://127.0.0.1:${CLICKHOUSE_HTTP_PORT}/ping', 'LineAsString')`, database),
      'Ok.',
    )
    assert.is(await ask("SELECT * FROM mysql('127.0.0.1:1', 'd', 't', 'u', 'p')", database), ACCESS_DENIED)
  } finally {
    await open.stop()
  }
})
sources.run()

const logins = suite('other users')

logins('CLICKHOUSE_READONLY_USER reads the database and system, and changes nothing', async () => {
  await ask(
    "INSERT INTO market_metrics (symbol, timestamp, metric, value) VALUES ('RO', '2026-11-23 14:30:00', 'm', 1)",
  )
  assert.is(await reader('SELECT count() FROM market_metrics'), '1')
  const range = "symbol = 'RO', since = '2026-11-23 14:30:00', until = '2026-11-23 14:31:00'"
  for (const view of [
    'market_bars',
    'market_quotes',
    `market_interval_bars(${range}, seconds = 10)`,
    `market_session_bars(${range}, seconds = 10, hours = 'all')`,
    `market_tbbo(${range})`,
    `market_bbo(${range}, seconds = 10)`,
  ])
    assert.is(await reader(`SELECT count() FROM ${view}`), '0', view)
  const order =
    "market_order_cost(symbol = 'RO', since = '2026-11-23 00:00:00', at = '2026-11-23 14:30:00', side = 'buy', size = 1)"
  assert.is(await reader(`SELECT filled FROM ${order}`), '0')
  assert.is(await reader('SELECT count() > 0 FROM system.tables'), '1')
  const refused = [
    "INSERT INTO market_metrics (symbol) VALUES ('X')",
    'CREATE TABLE t (a Int8) ENGINE = Memory',
    'CREATE TEMPORARY TABLE t (a Int8)',
    'ALTER TABLE market_metrics DELETE WHERE 1',
    'TRUNCATE TABLE market_metrics',
    'DROP TABLE market_metrics',
    'OPTIMIZE TABLE market_metrics',
    'SYSTEM STOP MERGES market_metrics',
    `SELECT * FROM file('${secret}', 'LineAsString')`,
    "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString', 'a String')",
  ]
  for (const query of refused) assert.is(await reader(query), ACCESS_DENIED, query)
  assert.match(await reader(`SELECT file('${secret}')`), /^\d+$/)
  // AUTHENTICATION_FAILED.
  assert.is(await ask('SELECT 1', { user: 'reader', password: 'l2_secure_pass' }), '516')
})

logins('nobody can log in as `default`, whose only session belongs to the server', async () => {
  // USER_SESSION_LIMIT_EXCEEDED.
  for (const query of ['SELECT 1', 'SYSTEM STOP LISTEN HTTP'])
    assert.is(await ask(query, { user: 'default', password: '' }), '700', query)
})
logins.run()

const pages = suite('requests of web pages')
const port = stack.settings.CLICKHOUSE_HTTP_PORT
const LOGIN = 'user=l2_user&password=l2_secure_pass'

/** Returns the status of a request with these headers. Does not use fetch, which sets Host and Origin itself. */
function status(method: string, target: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ port, host: '127.0.0.1', method, path: target, headers, agent: false }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0))
    })
    sent.on('error', reject).end(method === 'POST' ? 'SELECT 1' : '')
  })
}
const post = (headers: Record<string, string>) => status('POST', `/?${LOGIN}`, headers)
const get = (headers: Record<string, string>) => status('GET', `/?${LOGIN}&query=SELECT%201`, headers)

pages('from other sites are refused, whatever they send', async () => {
  for (const Origin of [
    'http://evil.example',
    'null',
    'http://localhost:3000',
    `http://203.0.113.5:${port}`,
    `http://a.localhost:${port}`,
  ]) {
    assert.is(await post({ Origin }), 403, Origin)
    assert.is(await get({ Origin }), 403, Origin)
    assert.is(await status('OPTIONS', `/?${LOGIN}`, { Origin, 'Access-Control-Request-Method': 'POST' }), 403, Origin)
  }
  // Requests for images, scripts and frames send no Origin.
  for (const site of ['cross-site', 'same-site']) assert.is(await get({ 'Sec-Fetch-Site': site }), 403, site)
  // A site's own host name that resolves to this address (DNS rebinding).
  for (const Host of ['evil.example', `evil.example:${port}`, `evil.example.:${port}`, `a.xn--p1ai:${port}`]) {
    assert.is(await post({ Host }), 403, Host)
    assert.is(await get({ Host }), 403, Host)
    assert.is(await post({ Host, Origin: `http://127.0.0.1:${port}` }), 403, Host)
  }
})

pages('from its own pages and from programs are served, under every name of this machine', async () => {
  for (const name of ['127.0.0.1', 'localhost'])
    assert.is(await post({ Host: `${name}:${port}`, Origin: `http://${name}:${port}` }), 200, name)
  for (const Host of [
    'clickhouse:8123',
    'localhost',
    '192.168.1.7:8123',
    '[::1]:8123',
    'host.docker.internal:8123',
    'nas.local:8123',
  ])
    for (const send of [post, get]) assert.is(await send({ Host }), 200, Host)
  for (const site of ['none', 'same-origin']) assert.is(await get({ 'Sec-Fetch-Site': site }), 200, site)
  for (const page of ['/ping', '/play', '/dashboard'])
    assert.is(await status('GET', page, { 'Sec-Fetch-Site': 'cross-site' }), 200, page)
})

pages.after(async () => {
  await stack.stop()
  rmSync(folder, { recursive: true })
})
pages.run()
