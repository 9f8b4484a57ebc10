/** The objects of the built-in ingest that exist in ClickHouse. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import { PREFIX, type Statement } from '../clickhouse/statements.mts'

/** Recreates the queues, which makes idle consumers read again. */
export const RESTART = './scripts/ingest.mts off && ./scripts/ingest.mts on'

/** `outdated`: created by another version or with other settings. `partial`: objects are missing. */
export type IngestState = 'on' | 'off' | 'outdated' | 'partial'

export interface IngestObject {
  name: string
  engine: string
  comment: string
}

/**
 * SQL: whether a row of system.tables is an object of the ingest that stores no rows. The name prefix is not enough, because a table of the
 * user's may share it: the engine and a {@link Statement}'s version in the comment must match too.
 */
export const IS_INGEST_OBJECT = `startsWith(name, '${PREFIX}') AND engine IN ('Kafka', 'MaterializedView', 'Null') AND match(comment, '^[0-9a-f]{16}$')`

/**
 * Returns the objects of the ingest in the market database that store no rows, Kafka tables first: dropped in this order, no message is
 * lost.
 */
export async function readObjects(client: ClickHouseClient): Promise<IngestObject[]> {
  return readRows<IngestObject>(
    client,
    `
      SELECT name, engine, comment FROM system.tables
      WHERE database = currentDatabase() AND ${IS_INGEST_OBJECT}
      ORDER BY engine = 'Kafka' DESC, engine = 'MaterializedView' DESC, name`,
  )
}

/** Returns the state of the ingest, and the names of the objects that are missing or differ from their declaration. */
export function judgeObjects(
  statements: readonly Statement[],
  objects: readonly IngestObject[],
): { state: IngestState; differing: string[] } {
  const declared = new Map(statements.flatMap(({ name, version }) => (version ? [[name, version]] : [])))
  const comments = new Map(objects.map(({ name, comment }) => [name, comment]))
  const missing = [...declared.keys()].filter((name) => !comments.has(name))
  const outdated = objects.filter(({ name, comment }) => declared.get(name) !== comment).map(({ name }) => name)
  // Without a Kafka table nothing is read, even if an interrupted switch left other objects behind.
  if (!objects.some(({ engine }) => engine === 'Kafka')) return { state: 'off', differing: [] }
  if (missing.length > 0) return { state: 'partial', differing: [...missing, ...outdated] }
  return { state: outdated.length > 0 ? 'outdated' : 'on', differing: outdated }
}
