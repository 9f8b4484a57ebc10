/** Adapts the statements of clickhouse/init to a sharded cluster (CLICKHOUSE_CLUSTER). Does no I/O. */
import type { Declared, SchemaPlan } from './plan.mts'

/**
 * The path in Keeper that the replicas of a shard's table share. It uses the table's name, so a server that joins later gets the same path.
 * @see https://clickhouse.com/docs/engines/table-engines/mergetree-family/replication (macros)
 */
const REPLICA_PATH = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"

/**
 * Returns the statements of clickhouse/init as each server of `cluster` runs them, in dependency order.
 *
 * - A table `t` becomes a Replicated table `t_local` and a Distributed table `t` over it, sharded by symbol.
 * - Materialized views read and write the `…_local` tables of their shard.
 * - A view that reads tables runs in full on every shard, and the results are concatenated. This is correct because all rows of a symbol are
 *   on one shard.
 * - A view that reads only views is unchanged, because it may aggregate across shards. A view that materialized views read uses the
 *   `…_local` tables of its shard.
 */
export function clusterStatements(declared: readonly Declared[], cluster: string, database: string): string[] {
  const tables = declared.filter(({ text }) => text.kind === 'table').map(({ text }) => text.name)
  const reads = (text: string) => tables.some((name) => new RegExp(`\\b${name}\\b`).test(text))
  const local = (text: string, qualifier = '') =>
    text.replaceAll(new RegExp(`\\b(${tables.join('|')})\\b`, 'g'), `${qualifier}$1_local`)
  const readInside = (view: string) =>
    declared.some(({ text }) => text.kind === 'materialized view' && new RegExp(`\\b${view}\\b`).test(text.query))
  return declared.flatMap(({ statement, text }) => {
    if (text.kind === 'table') {
      const columns = [...text.columns].map(([name, { type, value }]) => [name, type, value].filter(Boolean).join(' '))
      const key = text.columns.has('symbol') ? ', cityHash64(symbol)' : ''
      const engine = `Distributed('${cluster}', '${database}', '${text.name}_local'${key})`
      return [
        local(statement).replace(/^ENGINE = (\w*MergeTree)(?:\((.*)\))?/m, (_, plain: string, parameters?: string) => {
          return `ENGINE = Replicated${plain}(${[REPLICA_PATH, parameters].filter(Boolean).join(', ')})`
        }),
        `CREATE TABLE IF NOT EXISTS ${text.name} (${columns.join(', ')}) ENGINE = ${engine}`,
      ]
    }
    if (text.kind === 'materialized view' || readInside(text.name)) return [local(statement)]
    if (!reads(text.query)) return [statement]
    const query = local(text.query, `${database}.`)
    return [`CREATE VIEW IF NOT EXISTS ${text.name} AS SELECT * FROM cluster('${cluster}', view(${query}))\n`]
  })
}

const HEAD =
  /^(CREATE (?:OR REPLACE )?(?:DATABASE|TABLE|VIEW|MATERIALIZED VIEW)(?: IF NOT EXISTS)?|ALTER TABLE|DROP VIEW) (\w+)/m

/** Adds ON CLUSTER to a statement. Returns it unchanged if `cluster` is empty. */
export function onCluster(statement: string, cluster: string): string {
  if (cluster === '') return statement
  return statement.replace(HEAD, (_, head: string, name: string) => {
    // A server that joined later may not have the view.
    return `${head.replace('DROP VIEW', 'DROP VIEW IF EXISTS')} ${name} ON CLUSTER '${cluster}'`
  })
}

/** Merges the plans of several servers. Every server runs all statements: a server that already has an object skips its CREATE. */
export function mergePlans(plans: readonly SchemaPlan[], order: readonly string[]): SchemaPlan {
  const unique = <T extends object>(all: T[]): T[] => [
    ...new Map(all.map((each) => [JSON.stringify(each), each])).values(),
  ]
  const position = ({ name }: { name: string }) => order.indexOf(name)
  const changes = new Map(plans.flatMap((plan) => plan.changes).map((each) => [`${each.name}\n${each.what}`, each]))
  return {
    changes: [...changes.values()].sort((a, b) => position(a) - position(b)),
    impossible: unique(plans.flatMap((plan) => plan.impossible)),
    waiting: unique(plans.flatMap((plan) => plan.waiting)),
    undeclared: [],
  }
}
