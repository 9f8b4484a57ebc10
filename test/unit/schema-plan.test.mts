/** Parsing CREATE statements and planning, without a server. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseCreate, splitOutside } from '../../scripts/lib/schema/ddl.mts'
import { planSchema, UNFILLED } from '../../scripts/lib/schema/plan.mts'
import { impossibleSchemaFindings, renderSchemaPlan, schemaFindings } from '../../scripts/lib/schema/report.mts'

const TABLE =
  "CREATE TABLE IF NOT EXISTS t (a UInt64 CODEC(Delta, ZSTD(1)), `b` Enum8('x,y' = 0, ')' = 1) DEFAULT 'x,y', c String ALIAS if(a = 0, 'ORDER BY ', ''), INDEX i a TYPE minmax GRANULARITY 1, PROJECTION p (SELECT a, count() GROUP BY a)) ENGINE = MergeTree PARTITION BY toDate(a) ORDER BY (a, b) SETTINGS x = 1, y = 'z'"
const RETENTION = 'a + toIntervalDay(3)'
const RECOMPRESSION = 'a + toIntervalHour(1) RECOMPRESS CODEC(ZSTD(9))'
const LIVE_TABLE = TABLE.replace('IF NOT EXISTS t', 'market.t')
  .replace('Delta', 'Delta(8)')
  .replace('SETTINGS', 'SETTINGS index_granularity = 8192,')
const INSERTED = 'CREATE MATERIALIZED VIEW IF NOT EXISTS v TO s AS SELECT a FROM t'
const LIVE_INSERTED = 'CREATE MATERIALIZED VIEW market.v TO market.s (`a` UInt64) AS SELECT a FROM market.t'
const REFRESHED = 'CREATE MATERIALIZED VIEW IF NOT EXISTS r REFRESH EVERY 10 SECOND APPEND TO s AS SELECT a FROM t'
const LIVE_REFRESHED =
  'CREATE MATERIALIZED VIEW market.r REFRESH EVERY 10 SECOND APPEND TO market.s (`a` UInt64) DEFINER = me SQL SECURITY DEFINER AS SELECT a FROM market.t'
const PLAIN = 'CREATE VIEW IF NOT EXISTS w AS WITH 1 AS one SELECT one, b FROM s'
const LIVE_PLAIN = 'CREATE VIEW market.w (`one` UInt8, `b` String) AS WITH 1 AS one SELECT one, b FROM market.s'

/** Reads a table through another view. */
const NESTED = 'CREATE VIEW IF NOT EXISTS n AS SELECT a FROM v(since = {since:String})'

const declare = (...statements: string[]) =>
  statements.map((statement) => ({ statement, text: parseCreate(statement, 'market') }))
const live = (...statements: string[]) => statements.map((statement) => parseCreate(statement, 'market'))
const plan = (declared: string, ...found: string[]) => planSchema(declare(declared), live(...found), 'me')
const none = { changes: [], impossible: [], waiting: [], undeclared: [] }

const reading = suite('parseCreate')

reading('splits a table, past commas and keywords in quotes', () => {
  const text = parseCreate(LIVE_TABLE, 'market')
  assert.is(text.kind, 'table')
  if (text.kind !== 'table') return
  assert.equal(
    [...text.columns],
    [
      ['a', { type: 'UInt64', value: '', codec: 'CODEC(Delta, ZSTD(1))' }],
      ['b', { type: "Enum8('x,y' = 0, ')' = 1)", value: "DEFAULT 'x,y'", codec: '' }],
      ['c', { type: 'String', value: "ALIAS if(a = 0, 'ORDER BY ', '')", codec: '' }],
    ],
  )
  assert.equal([...text.parts.keys()], ['i', 'p'])
  assert.equal(text.layout, { engine: 'MergeTree', partition: 'toDate(a)', 'primary key': '(a, b)', order: '(a, b)' })
  assert.equal(
    [...text.settings],
    [
      ['index_granularity', '8192'],
      ['x', '1'],
      ['y', "'z'"],
    ],
  )
})

reading('finds target, query and definer of views', () => {
  assert.equal(parseCreate(LIVE_REFRESHED, 'market'), {
    kind: 'materialized view',
    name: 'r',
    target: 'REFRESH EVERY 10 SECOND APPEND TO s',
    definer: 'me',
    query: 'SELECT a FROM t',
    comment: '',
  })
  const query = 'WITH 1 AS one SELECT one, b FROM s'
  const plain = { kind: 'view', name: 'w', target: '', definer: '', query, comment: '' }
  assert.equal(parseCreate(LIVE_PLAIN, 'market'), plain)
  assert.equal(parseCreate(LIVE_PLAIN.replace(' AS WITH', " COMMENT 'it\\'s (mine)' AS WITH"), 'market'), {
    ...plain,
    comment: "it\\'s (mine)",
  })
})

reading('refuses anything else', () => {
  assert.throws(() => parseCreate('CREATE DICTIONARY d (a UInt8)', 'market'), /Cannot read "CREATE DICTIONARY/)
})

reading('splits outside quotes and brackets only', () => {
  assert.equal(splitOutside("a(b, c), 'd, \\', e', f", ', '), ['a(b, c)', "'d, \\', e'", 'f'])
})

const planning = suite('planSchema')

planning('accepts the engines that ClickHouse Cloud and Replicated databases substitute for the declared ones', () => {
  // As SHOW CREATE TABLE prints it there: https://clickhouse.com/docs/cloud/reference/shared-merge-tree
  const paths = "'/clickhouse/tables/{uuid}/{shard}', '{replica}'"
  const window = 'SETTINGS non_replicated_deduplication_window = 1000'
  for (const kind of ['Shared', 'Replicated']) {
    for (const [engine, own] of [
      ['MergeTree', ''],
      ['ReplacingMergeTree', ''],
      ['ReplacingMergeTree(b)', ', b'],
      ['VersionedCollapsingMergeTree(sign, b)', ', sign, b'],
    ] as const) {
      const declared = `CREATE TABLE IF NOT EXISTS t (a UInt64, b UInt8) ENGINE = ${engine} ORDER BY a ${window}`
      const found = (arguments_: string) =>
        `CREATE TABLE market.t (\`a\` UInt64, \`b\` UInt8) ENGINE = ${kind}${engine.replace(/\(.*/, '')}${arguments_} ORDER BY a SETTINGS index_granularity = 8192`
      assert.equal(plan(declared, found(`(${paths}${own})`)), none, engine)
      const { impossible } = plan(declared, found(`(${paths}, c)`))
      assert.equal(
        impossible.map(({ what, to }) => [what, to]),
        [['engine', engine]],
      )
    }
    // Engines with the default paths.
    const bare = `CREATE TABLE market.t (\`a\` UInt64) ENGINE = ${kind}MergeTree ORDER BY a`
    assert.equal(plan('CREATE TABLE IF NOT EXISTS t (a UInt64) ENGINE = MergeTree ORDER BY a', bare), none)
  }
})

planning('does not accept a plain engine for a declared replicated one', () => {
  const declared = "CREATE TABLE IF NOT EXISTS t (a UInt64) ENGINE = ReplicatedMergeTree('/t', '{replica}') ORDER BY a"
  const found = 'CREATE TABLE market.t (`a` UInt64) ENGINE = MergeTree ORDER BY a'
  assert.equal(plan(declared, found).impossible, [
    { name: 't', what: 'engine', from: 'MergeTree', to: 'ReplicatedMergeTree' },
  ])
  assert.equal(plan(declared, found.replace('MergeTree', "SharedMergeTree('/u', '{replica}')")), none)
})

planning('has nothing to do for objects as declared, whatever their spelling', () => {
  for (const [declared, found] of [
    [TABLE, LIVE_TABLE],
    [INSERTED, LIVE_INSERTED],
    [REFRESHED, LIVE_REFRESHED],
    [PLAIN, LIVE_PLAIN],
  ] as const) {
    assert.equal(plan(declared, found), none, declared)
  }
})

const alter = (change: string) => [`ALTER TABLE t ${change}`]
const cases: [title: string, found: string, what: string, statements: string[]][] = [
  [
    'adds a column in its place',
    LIVE_TABLE.replace(/ c String[^)]*\),/, ''),
    'column c String',
    alter("ADD COLUMN IF NOT EXISTS c String ALIAS if(a = 0, 'ORDER BY ', '') AFTER b"),
  ],
  [
    'changes a codec',
    LIVE_TABLE.replace('Delta(8), ZSTD(1)', 'LZ4'),
    'codec of a: CODEC(LZ4) → CODEC(Delta, ZSTD(1))',
    alter('MODIFY COLUMN a UInt64 CODEC(Delta, ZSTD(1))'),
  ],
  [
    'takes a codec away',
    LIVE_TABLE.replace("DEFAULT 'x,y',", "DEFAULT 'x,y' CODEC(ZSTD(9)),"),
    'codec of b: CODEC(ZSTD(9)) → none',
    alter('MODIFY COLUMN b REMOVE CODEC'),
  ],
  [
    'changes a default',
    LIVE_TABLE.replace("DEFAULT 'x,y'", "DEFAULT ')'"),
    "default of b: DEFAULT ')' → DEFAULT 'x,y'",
    alter("MODIFY COLUMN b Enum8('x,y' = 0, ')' = 1) DEFAULT 'x,y'"),
  ],
  [
    'gives an Enum another word',
    LIVE_TABLE.replace(", ')' = 1)", ')'),
    "type of b: Enum8('x,y' = 0) → Enum8('x,y' = 0, ')' = 1)",
    alter("MODIFY COLUMN b Enum8('x,y' = 0, ')' = 1) DEFAULT 'x,y'"),
  ],
  [
    'adds an index and fills it',
    LIVE_TABLE.replace(' INDEX i a TYPE minmax GRANULARITY 1,', ''),
    'index i',
    [...alter('ADD INDEX i a TYPE minmax GRANULARITY 1'), ...alter('MATERIALIZE INDEX i')],
  ],
  [
    'replaces a projection',
    LIVE_TABLE.replace('count() GROUP', 'max(a) GROUP'),
    'projection p',
    [
      ...alter('DROP PROJECTION p'),
      ...alter('ADD PROJECTION p (SELECT a, count() GROUP BY a)'),
      ...alter('MATERIALIZE PROJECTION p'),
    ],
  ],
  ['changes a setting', LIVE_TABLE.replace('x = 1', 'x = 2'), 'setting x: 2 → 1', alter('MODIFY SETTING x = 1')],
  [
    'ends a retention',
    LIVE_TABLE.replace('SETTINGS', `TTL ${RETENTION} SETTINGS`),
    `retention: ${RETENTION} → forever`,
    alter('REMOVE TTL'),
  ],
]
for (const [title, found, what, statements] of cases) {
  planning(title, () => {
    assert.not.equal(found, LIVE_TABLE)
    const { changes, impossible } = plan(TABLE, found)
    assert.equal(
      changes.map((change) => [change.what, change.statements]),
      [[what, statements]],
    )
    assert.equal(impossible, [])
  })
}

planning('reports rows that a retention will delete, with their condition', () => {
  const declared = TABLE.replace('SETTINGS', `TTL ${RETENTION} SETTINGS`)
  const [change] = plan(declared, LIVE_TABLE).changes
  assert.is(change?.ttl, RETENTION)
  assert.equal(change?.statements, alter(`MODIFY TTL ${RETENTION}`))
})

planning('changes retention and recompression, which share a clause, independently', () => {
  const withTtl = (table: string, ...ttl: string[]) => table.replace('SETTINGS', `TTL ${ttl.join(', ')} SETTINGS`)
  const recompressed = withTtl(TABLE, RECOMPRESSION)
  assert.equal(plan(recompressed, withTtl(LIVE_TABLE, RECOMPRESSION)), none)
  const { changes } = plan(withTtl(TABLE, RETENTION, RECOMPRESSION), LIVE_TABLE)
  assert.equal(
    changes.map(({ what, statements, ttl }) => [what, ...statements, ttl]),
    [
      [
        `recompression: never → ${RECOMPRESSION}`,
        ...alter(`MODIFY TTL ${RECOMPRESSION} SETTINGS materialize_ttl_after_modify = 0`),
        undefined,
      ],
      [`retention: forever → ${RETENTION}`, ...alter(`MODIFY TTL ${RETENTION}, ${RECOMPRESSION}`), RETENTION],
    ],
  )
  const [ended, ...more] = plan(recompressed, withTtl(LIVE_TABLE, RETENTION, RECOMPRESSION)).changes
  assert.equal([ended?.statements, more], [alter(`MODIFY TTL ${RECOMPRESSION}`), []])
  const [never] = plan(withTtl(TABLE, RETENTION), withTtl(LIVE_TABLE, RETENTION, RECOMPRESSION)).changes
  assert.equal(never?.statements, alter(`MODIFY TTL ${RETENTION} SETTINGS materialize_ttl_after_modify = 0`))
})

planning('leaves undeclared columns, settings and objects alone', () => {
  const found = LIVE_TABLE.replace('`b`', 'extra UInt8, `b`').replace('x = 1', 'x = 1, more = 2')
  assert.equal(plan(TABLE, found, 'CREATE TABLE market.other (a UInt8) ENGINE = Log'), none)
})

planning('cannot change types, keys, partitions and engines, and lets views wait for them', () => {
  const found = LIVE_TABLE.replace('a UInt64', 'a UInt32')
    .replace('MergeTree', 'Log')
    .replace('toDate(a)', 'a')
    .replace('(a, b)', 'a')
  const { changes, impossible, waiting } = planSchema(declare(TABLE, INSERTED, PLAIN, NESTED), live(found), 'me')
  assert.equal(
    changes.map(({ action, name }) => [action, name]),
    [['create', 'w']],
  )
  assert.equal(
    impossible.map(({ what, from, to }) => [what, from, to]),
    [
      ['engine', 'Log', 'MergeTree'],
      ['partition', 'a', 'toDate(a)'],
      ['primary key', 'a', '(a, b)'],
      ['order', 'a', '(a, b)'],
      ['type of a', 'UInt32', 'UInt64'],
    ],
  )
  assert.equal(waiting, [
    { name: 'v', table: 't' },
    { name: 'n', table: 't' },
  ])
  const [finding] = impossibleSchemaFindings({ ...none, impossible, waiting })
  assert.is(finding?.code, 'SCHEMA_CANNOT_CHANGE')
  assert.match(finding?.hint ?? '', '--rebuild t ')
})

planning('never drops an object with rows for a view of its name', () => {
  const inner = 'CREATE MATERIALIZED VIEW market.w (`a` UInt64) ENGINE = MergeTree ORDER BY a AS SELECT a FROM market.t'
  for (const found of [LIVE_TABLE.replace('market.t ', 'market.w '), inner]) {
    const { changes, impossible } = plan(PLAIN, found)
    assert.equal([changes, impossible.map(({ what, to }) => [what, to])], [[], [['kind', 'view']]])
    assert.match(impossibleSchemaFindings({ ...none, impossible })[0]?.hint ?? '', 'RENAME TABLE w')
  }
})

planning('creates a materialized view and fills it from existing rows', () => {
  const [change] = plan(INSERTED, LIVE_TABLE).changes
  assert.equal(change?.statements, [`${INSERTED}\nCOMMENT '${UNFILLED}'`])
  assert.is(change?.backfill?.query, 'SELECT a FROM t')
  assert.is(plan(REFRESHED, LIVE_TABLE).changes[0]?.backfill, undefined)
})

planning('fills a view that was created and not filled, as its comment says, and no other', () => {
  const commented = (comment: string) => LIVE_INSERTED.replace(' AS SELECT', ` COMMENT '${comment}' AS SELECT`)
  const [change] = plan(INSERTED, commented(UNFILLED)).changes
  assert.equal([change?.statements, change?.backfill?.query], [[], 'SELECT a FROM t'])
  assert.equal(
    schemaFindings(plan(INSERTED, commented(UNFILLED))).map(({ code, subject, found }) => [code, subject, found]),
    [['SCHEMA_DRIFT', 'v backfill', 'incomplete']],
  )
  assert.equal(plan(INSERTED, commented('of somebody')), none)
})

planning('replaces views: a materialized one without a gap', () => {
  const other = (text: string) => text.replace('SELECT a', 'SELECT a + 1 AS a')
  assert.equal(plan(INSERTED, other(LIVE_INSERTED)).changes[0]?.statements, [
    `ALTER TABLE v MODIFY COMMENT '${UNFILLED}'`,
    'ALTER TABLE v MODIFY QUERY SELECT a FROM t',
  ])
  assert.equal(plan(REFRESHED, other(LIVE_REFRESHED)).changes[0]?.statements, ['DROP VIEW r', REFRESHED])
  assert.equal(plan(PLAIN, LIVE_PLAIN.replace('1 AS one', '2 AS one')).changes[0]?.statements, [
    PLAIN.replace('VIEW IF NOT EXISTS', 'OR REPLACE VIEW'),
  ])
  assert.equal(
    plan(REFRESHED, LIVE_REFRESHED.replace('10 SECOND', '1 MINUTE')).changes[0]?.what,
    'materialized view query and target',
  )
})

planning('lets a refresh run as the current user', () => {
  const [change] = plan(REFRESHED, LIVE_REFRESHED.replace('= me', '= them')).changes
  assert.is(change?.what, 'definer: them → me')
})

planning('reports every change as a finding and a line', () => {
  const found = LIVE_TABLE.replace('x = 1', 'x = 2').replace(/ c String[^)]*\),/, '')
  const made = plan(TABLE, found)
  assert.equal(
    schemaFindings(made).map(({ code, subject, found: is, expected }) => [code, subject, is, expected]),
    [
      ['SCHEMA_MISSING', 't', 'no column c String', 'as clickhouse/init declares it'],
      ['SCHEMA_DRIFT', 't setting x', '2', '1'],
    ],
  )
  assert.equal(renderSchemaPlan(made, (_, text) => text).split('\n'), [
    '  + add     t  column c String',
    '  ~ change  t  setting x: 2 → 1',
  ])
  assert.equal(schemaFindings(none), [])
})

reading.run()
planning.run()
