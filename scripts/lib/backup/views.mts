/** Completes a restored database: creates views, and invalidates roll-ups that may not match their rows. */
import type { ClickHouseClient } from '@clickhouse/client'
import { keepLatest } from '../archive/rollups.mts'
import { readRows } from '../clickhouse/client.mts'
import { error, type Finding, reason } from '../common/findings.mts'
import type { Manifest } from './manifest.mts'
import { LAST } from './restore-plan.mts'

/** Creates missing views and tables without rows. Some depend on others, so failed ones are retried as long as any succeeds. */
export async function createDefinitions(
  client: ClickHouseClient,
  { database: old, definitions }: Manifest,
  database: string,
): Promise<Finding[]> {
  const rows = await readRows<{ name: string }>(
    client,
    'SELECT name FROM system.tables WHERE database = {database:String}',
    {
      database,
    },
  )
  let left = definitions.filter(({ name }) => !rows.some((row) => row.name === name))
  for (;;) {
    const failed: { name: string; failure: unknown }[] = []
    for (const { name, sql } of left) {
      const query = database === old ? sql : sql.replace(new RegExp(`\\b${old}\\.`, 'g'), `${database}.`)
      await client.command({ query }).catch((failure: unknown) => failed.push({ name, failure }))
    }
    if (failed.length === left.length || failed.length === 0) {
      return failed.map(({ name, failure }) => {
        const found = `not created: ${reason(failure).slice(0, 300)}`
        return error('BACKUP_VIEW', `${database}.${name}`, { found, hint: 'npm run schema' })
      })
    }
    left = left.filter(({ name }) => failed.some((each) => each.name === name))
  }
}

/**
 * Marks roll-ups that may not match their rows for recomputation, because a backup has each table as of a different moment. Until then the
 * views read the rows.
 */
export async function invalidateRollups(client: ClickHouseClient, { tables, startedAt }: Manifest): Promise<void> {
  const has = (name: string) => tables.some((table) => table.name === name)
  const moving = (name: string) =>
    (tables.find((table) => table.name === name)?.partitions ?? [])
      .filter((part) => part.moving)
      .map((part) => `'${part.partition}'`)
  if (has(LAST)) {
    const mark = `INSERT INTO ${LAST} (rollup, bucket, inserted_at) SELECT DISTINCT`
    await client.command({
      query: `${mark} rollup, bucket, now64(6, 'UTC') FROM ${LAST} FINAL
              WHERE greatest(inserted_at, computed_at) >= parseDateTimeBestEffort('${startedAt}', 'UTC') - INTERVAL 1 MINUTE`,
    })
    for (const [table, rollup] of [
      ['market_ticks', 'bars'],
      ['market_l2', 'book'],
    ] as const) {
      const partitions = moving(table)
      if (partitions.length === 0) continue
      const query = `${mark} '${rollup}', toStartOfFiveMinutes(timestamp), now64(6, 'UTC') FROM ${table} WHERE _partition_id IN (${partitions.join(', ')})`
      await client.command({ query })
    }
  }
  if (moving('market_l1').length > 0 && has('market_l1_latest')) await keepLatest(client, 'market_l1', 'market_l1')
}
