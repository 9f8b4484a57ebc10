/** The statements of clickhouse/init for a cluster, and the combined plan of its servers. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { clusterStatements, mergePlans, onCluster } from '../../scripts/lib/schema/cluster.mts'
import { parseCreate } from '../../scripts/lib/schema/ddl.mts'
import type { SchemaPlan } from '../../scripts/lib/schema/plan.mts'

const cluster = (...statements: string[]) =>
  clusterStatements(
    statements.map((statement) => ({ statement, text: parseCreate(statement.replaceAll('\n', ' '), 'd') })),
    'c',
    'd',
  )

const TABLE = `CREATE TABLE IF NOT EXISTS t (symbol String CODEC(ZSTD(1)), a UInt64 DEFAULT 1, b UInt64 ALIAS a + 1, INDEX i a TYPE minmax GRANULARITY 1)
ENGINE = ReplacingMergeTree(a)
ORDER BY (symbol, a)`
const STATE = 'CREATE TABLE IF NOT EXISTS s (bucket UInt64)\nENGINE = AggregatingMergeTree\nORDER BY bucket'
const PASSED = 'CREATE MATERIALIZED VIEW IF NOT EXISTS m TO s AS SELECT t.a AS bucket FROM t'
const REFRESHED =
  'CREATE MATERIALIZED VIEW IF NOT EXISTS r REFRESH EVERY 5 SECOND APPEND TO s AS SELECT bucket FROM due(n = 1)'
const DUE = 'CREATE VIEW IF NOT EXISTS due AS SELECT bucket FROM s FINAL LIMIT {n:UInt8}'
const READING = 'CREATE VIEW IF NOT EXISTS v AS SELECT a FROM t FINAL WHERE a NOT IN (SELECT bucket FROM s)'
const ADDING = 'CREATE VIEW IF NOT EXISTS w AS SELECT sum(a) FROM v'

const statements = suite('clusterStatements')

statements('keep the rows of a table in replicas on each shard, and each symbol on one shard', () => {
  assert.equal(cluster(TABLE, STATE), [
    TABLE.replace('EXISTS t ', 'EXISTS t_local ').replace(
      'ReplacingMergeTree(a)',
      "ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', a)",
    ),
    "CREATE TABLE IF NOT EXISTS t (symbol String, a UInt64 DEFAULT 1, b UInt64 ALIAS a + 1) ENGINE = Distributed('c', 'd', 't_local', cityHash64(symbol))",
    STATE.replace('EXISTS s ', 'EXISTS s_local ').replace(
      'AggregatingMergeTree',
      "ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')",
    ),
    "CREATE TABLE IF NOT EXISTS s (bucket UInt64) ENGINE = Distributed('c', 'd', 's_local')",
  ])
})

statements('move rows, and roll them up, on their own shard', () => {
  assert.equal(cluster(TABLE, STATE, PASSED, DUE, REFRESHED).slice(4), [
    'CREATE MATERIALIZED VIEW IF NOT EXISTS m TO s_local AS SELECT t_local.a AS bucket FROM t_local',
    'CREATE VIEW IF NOT EXISTS due AS SELECT bucket FROM s_local FINAL LIMIT {n:UInt8}',
    REFRESHED.replace('TO s ', 'TO s_local '),
  ])
})

statements('query the whole view on each shard, and leave views of views unchanged', () => {
  assert.equal(cluster(TABLE, STATE, READING, ADDING).slice(4), [
    "CREATE VIEW IF NOT EXISTS v AS SELECT * FROM cluster('c', view(SELECT a FROM d.t_local FINAL WHERE a NOT IN (SELECT bucket FROM d.s_local)))\n",
    ADDING,
  ])
})

const everywhere = suite('onCluster')

everywhere('adds the cluster to each kind of statement, past comments, and to none without a cluster', () => {
  for (const [statement, expected] of [
    ['CREATE DATABASE IF NOT EXISTS d', "CREATE DATABASE IF NOT EXISTS d ON CLUSTER 'c'"],
    [
      '-- CREATE TABLE x\nCREATE TABLE IF NOT EXISTS t\n(a Int8)',
      "-- CREATE TABLE x\nCREATE TABLE IF NOT EXISTS t ON CLUSTER 'c'\n(a Int8)",
    ],
    ['CREATE OR REPLACE VIEW v AS SELECT 1', "CREATE OR REPLACE VIEW v ON CLUSTER 'c' AS SELECT 1"],
    [PASSED, PASSED.replace(' m TO', " m ON CLUSTER 'c' TO")],
    ['ALTER TABLE t ADD COLUMN a Int8', "ALTER TABLE t ON CLUSTER 'c' ADD COLUMN a Int8"],
    ['DROP VIEW v', "DROP VIEW IF EXISTS v ON CLUSTER 'c'"],
  ] as const) {
    assert.is(onCluster(statement, 'c'), expected)
    assert.is(onCluster(statement, ''), statement)
  }
})

const merging = suite('mergePlans')

merging('does once what several servers need, in the order of the declaration', () => {
  const change = (name: string) => ({ action: 'create' as const, name, what: 'table', statements: [`CREATE ${name}`] })
  const impossible = { name: 'x', what: 'engine', from: 'Log', to: 'MergeTree' }
  const plan = (names: string[]): SchemaPlan => ({
    changes: names.map(change),
    impossible: [impossible],
    waiting: [{ name: 'v', table: 'x' }],
    undeclared: [],
  })
  assert.equal(mergePlans([plan(['b']), plan(['a', 'b'])], ['a', 'b']), plan(['a', 'b']))
})

statements.run()
everywhere.run()
merging.run()
