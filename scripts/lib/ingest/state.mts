/** What of the built-in ingest is in ClickHouse now. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import { PREFIX, type Statement } from '../clickhouse/statements.mts'

/** Drops and creates the queues again: consumers that read nothing begin to. */
export const RESTART = './scripts/ingest.mts off && ./scripts/ingest.mts on'

/** `outdated`: made by an older version or other settings. `partial`: something is missing. */
export type IngestState = 'on' | 'off' | 'outdated' | 'partial'

export interface IngestObject {
  name: string
  engine: string
  comment: string
}

/**
 * SQL: whether a row of system.tables is an object of the ingest that only moves messages. The name alone does not decide, since a table of
 * the user's may begin like ours: they hold no rows, and carry a {@link Statement}'s version.
 */
export const IS_OURS = `startsWith(name, '${PREFIX}') AND engine IN ('Kafka', 'MaterializedView', 'Null') AND match(comment, '^[0-9a-f]{16}$')`

/** The objects in the market database that only move messages, Kafka tables first: the order in which nothing gets lost by dropping. */
export async function readObjects(client: ClickHouseClient): Promise<IngestObject[]> {
  return readRows<IngestObject>(
    client,
    `
      SELECT name, engine, comment FROM system.tables
      WHERE database = currentDatabase() AND ${IS_OURS}
      ORDER BY engine = 'Kafka' DESC, engine = 'MaterializedView' DESC, name`,
  )
}

/** The state that the objects are in, and the names of those that are missing or not as declared. */
export function judgeObjects(
  statements: readonly Statement[],
  objects: readonly IngestObject[],
): { state: IngestState; differing: string[] } {
  const declared = new Map(statements.flatMap(({ name, version }) => (version ? [[name, version]] : [])))
  const comments = new Map(objects.map(({ name, comment }) => [name, comment]))
  const missing = [...declared.keys()].filter((name) => !comments.has(name))
  const outdated = objects.filter(({ name, comment }) => declared.get(name) !== comment).map(({ name }) => name)
  // Without a Kafka table nothing flows, whatever a switch that was interrupted has left.
  if (!objects.some(({ engine }) => engine === 'Kafka')) return { state: 'off', differing: [] }
  if (missing.length > 0) return { state: 'partial', differing: [...missing, ...outdated] }
  return { state: outdated.length > 0 ? 'outdated' : 'on', differing: outdated }
}
