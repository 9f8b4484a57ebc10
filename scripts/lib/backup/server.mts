/** Statements BACKUP and RESTORE, in the server's background: followed to their end, and ended with this command. */
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import { ANY_SIZE } from '../clickhouse/sql.mts'
import { showProgress } from '../command/progress.mts'
import { cannotTell, error, OpsError, unknown } from '../common/findings.mts'
import { waitUntil } from '../common/wait.mts'
import type { Place } from './server-dir.mts'

/** What a run works with. */
export interface Work {
  client: ClickHouseClient
  /** Deadline of each statement. */
  timeoutMs: number
  log: (line: string) => void
  /** Whether Ctrl-C came: nothing more begins. */
  asked: () => boolean
}

const POLL_MS = 100
/** What backups are named. */
const NAME = '\\w+-\\d{8}T\\d{6}Z'

/**
 * Runs a BACKUP or RESTORE and returns when it is done.
 * @throws {OpsError} exit code 1 with the server's reason when it fails, or when Ctrl-C came; 3 when it takes too long
 */
export async function runOnServer(work: Work, statement: string, what: string, settings = ''): Promise<void> {
  const { client, timeoutMs, log, asked } = work
  if (asked()) throw interrupted()
  const id = randomUUID()
  await client.command({ query: `${statement} SETTINGS id = '${id}'${settings} ASYNC` })
  const progress = showProgress(log)
  const deadline = performance.now() + timeoutMs
  try {
    for (;;) {
      const [now] = await readRows<{ status: string; error: string; part: number }>(
        client,
        // A BACKUP does not say how far it is.
        `SELECT toString(status) AS status, error, least(1, bytes_read / greatest(total_size, 1)) AS part
         FROM system.backups WHERE id = {id:String}`,
        { id },
      )
      if (now === undefined) throw failed(what, 'the server forgot it: was it restarted?')
      if (now.status === 'BACKUP_CREATED' || now.status === 'RESTORED') return
      if (/FAILED|CANCELLED/.test(now.status)) throw failed(what, now.error.split(', Stack trace')[0] || now.status)
      if (performance.now() > deadline || asked()) {
        await endRunning(work, 'id = {text:String}', id)
        if (asked()) throw interrupted()
        const found = `not done after ${timeoutMs / 1000} s`
        throw cannotTell(unknown('BACKUP_TIMEOUT', what, { found, hint: 'give it more: --timeout SECONDS' }))
      }
      progress.show(now.part > 0 ? now.part : undefined, what)
      await delay(POLL_MS)
    }
  } finally {
    progress.clear()
  }
}

/** Ends what a killed run left running, and removes what it left in the server's folder: only one run is at work at a time. */
export async function tidyServer(work: Work, place: Place): Promise<void> {
  await endRunning(work, 'match(name, {text:String})', `^File\\('${NAME}'`)
  for (const name of await place.list()) if (new RegExp(`^${NAME}$`).test(name)) await place.remove(name)
}

/** Ends BACKUPs and RESTOREs, and returns when they have ended. */
async function endRunning({ client, timeoutMs }: Work, condition: string, text: string): Promise<void> {
  const running = `SELECT query_id FROM system.backups WHERE status IN ('CREATING_BACKUP', 'RESTORING') AND ${condition}`
  const ended = async () => {
    if ((await readRows(client, running, { text })).length === 0) return true
    await client.command({ query: `KILL QUERY WHERE query_id IN (${running}) ASYNC`, query_params: { text } })
    return false
  }
  if (await waitUntil(ended, { timeoutMs, pollMs: POLL_MS })) return
  const found = `a backup or restore that was ended, and goes on after ${timeoutMs / 1000} s`
  throw cannotTell(unknown('BACKUP_BUSY', 'clickhouse', { found, hint: 'SELECT * FROM system.backups' }))
}

/** Drops a database of copies, however large. */
export async function dropScratch(client: ClickHouseClient, database: string): Promise<void> {
  await client.command({ query: `DROP DATABASE IF EXISTS ${database} SYNC`, clickhouse_settings: ANY_SIZE })
}

const failed = (what: string, found: string) =>
  new OpsError(1, [error('BACKUP_FAILED', what, { found, hint: './scripts/health-check.mts --only clickhouse' })])
/** What ends a run after Ctrl-C. */
export const interrupted = (): OpsError =>
  new OpsError(1, [error('INTERRUPTED', 'backup', { found: 'ended by a signal', hint: 'run it again' })])
