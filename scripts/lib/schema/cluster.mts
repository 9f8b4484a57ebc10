/** What clickhouse/init declares, for servers that share the symbols among them: CLICKHOUSE_CLUSTER. Does no I/O. */
import type { Declared, SchemaPlan } from './plan.mts'

/**
 * Where the copies of a shard's table find each other in Keeper. By name, so that a server that joins later finds it too.
 * @see https://clickhouse.com/docs/engines/table-engines/mergetree-family/replication (macros)
 */
const COPIES = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"

/**
 * The statements of clickhouse/init as each server of `cluster` runs them, in an order that works.
 *
 * - A table `t` becomes `t_local`, Replicated, and `t` a Distributed table over it, which sends a symbol to one shard.
 * - Materialized views pass rows on and roll them up from `…_local` to `…_local`, on the shard that has them.
 * - A view that reads tables asks every shard the whole question: as a symbol's rows are on one shard, together they answer it.
 * - A view that only reads views stays as it is, for it may add up. So does one that materialized views read, on its own shard.
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
        local(statement).replace(/^ENGINE = (\w*MergeTree)(?:\((.*)\))?/m, (_, plain: string, own?: string) => {
          return `ENGINE = Replicated${plain}(${[COPIES, own].filter(Boolean).join(', ')})`
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

/** A statement as the servers of `cluster` all run it; unchanged where there is none. */
export function onCluster(statement: string, cluster: string): string {
  if (cluster === '') return statement
  return statement.replace(HEAD, (_, head: string, name: string) => {
    // A server that joined may lack it.
    return `${head.replace('DROP VIEW', 'DROP VIEW IF EXISTS')} ${name} ON CLUSTER '${cluster}'`
  })
}

/** The plans for several servers as one, whose statements all of them run: what one needs, the others have and skip. */
export function mergePlans(plans: readonly SchemaPlan[], order: readonly string[]): SchemaPlan {
  const once = <T extends object>(all: T[]): T[] => [
    ...new Map(all.map((each) => [JSON.stringify(each), each])).values(),
  ]
  const place = ({ name }: { name: string }) => order.indexOf(name)
  const changes = new Map(plans.flatMap((plan) => plan.changes).map((each) => [`${each.name}\n${each.what}`, each]))
  return {
    changes: [...changes.values()].sort((a, b) => place(a) - place(b)),
    impossible: once(plans.flatMap((plan) => plan.impossible)),
    waiting: once(plans.flatMap((plan) => plan.waiting)),
    undeclared: [],
  }
}
