/** Runs BACKUP and RESTORE statements in the server's background, waits for them, and cancels them if this command is interrupted. */
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import { ANY_SIZE } from '../clickhouse/sql.mts'
import { showProgress } from '../command/progress.mts'
import { cannotTell, error, OpsError, unknown } from '../common/findings.mts'
import { waitUntil } from '../common/wait.mts'
import { NAME } from './name.mts'
import type { ServerDir } from './server-dir.mts'

export interface Work {
  client: ClickHouseClient
  /** Deadline for each statement. */
  timeoutMs: number
  log: (line: string) => void
  /** Whether an interruption was requested: start nothing new. */
  isInterrupted: () => boolean
}

const POLL_MS = 100

/**
 * Runs a BACKUP or RESTORE and waits until it has finished.
 * @throws {OpsError} exit code 1 if it fails, with the server's message, or is interrupted; 3 if it takes too long
 */
export async function runOnServer(work: Work, statement: string, what: string, settings = ''): Promise<void> {
  const { client, timeoutMs, log, isInterrupted } = work
  if (isInterrupted()) throw interrupted()
  const id = randomUUID()
  await client.command({ query: `${statement} SETTINGS id = '${id}'${settings} ASYNC` })
  const progress = showProgress(log)
  const deadline = performance.now() + timeoutMs
  try {
    for (;;) {
      const [now] = await readRows<{ status: string; error: string; part: number }>(
        client,
        // Only RESTORE reports its progress.
        `SELECT toString(status) AS status, error, least(1, bytes_read / greatest(total_size, 1)) AS part
         FROM system.backups WHERE id = {id:String}`,
        { id },
      )
      if (now === undefined) throw failed(what, 'the server no longer knows it; was it restarted?')
      if (now.status === 'BACKUP_CREATED' || now.status === 'RESTORED') return
      if (/FAILED|CANCELLED/.test(now.status)) throw failed(what, now.error.split(', Stack trace')[0] || now.status)
      if (performance.now() > deadline || isInterrupted()) {
        await cancel(work, 'id = {text:String}', id)
        if (isInterrupted()) throw interrupted()
        const found = `not finished after ${timeoutMs / 1000} s`
        throw cannotTell(unknown('BACKUP_TIMEOUT', what, { found, hint: 'allow more time: --timeout SECONDS' }))
      }
      progress.show(now.part > 0 ? now.part : undefined, what)
      await delay(POLL_MS)
    }
  } finally {
    progress.clear()
  }
}

/** Cancels statements of a killed run, and removes its backups from the server's folder. The caller must hold the lock. */
export async function cleanUpServer(work: Work, serverDir: ServerDir): Promise<void> {
  await cancel(work, 'match(name, {text:String})', `^File\\('${NAME}'`)
  for (const name of await serverDir.list()) if (new RegExp(`^${NAME}$`).test(name)) await serverDir.remove(name)
}

/** Cancels BACKUP and RESTORE statements, and waits until they have ended. */
async function cancel({ client, timeoutMs }: Work, condition: string, text: string): Promise<void> {
  const running = `SELECT query_id FROM system.backups WHERE status IN ('CREATING_BACKUP', 'RESTORING') AND ${condition}`
  const ended = async () => {
    if ((await readRows(client, running, { text })).length === 0) return true
    await client.command({ query: `KILL QUERY WHERE query_id IN (${running}) ASYNC`, query_params: { text } })
    return false
  }
  if (await waitUntil(ended, { timeoutMs, pollMs: POLL_MS })) return
  const found = `a cancelled backup or restore still running after ${timeoutMs / 1000} s`
  throw cannotTell(unknown('BACKUP_BUSY', 'clickhouse', { found, hint: 'SELECT * FROM system.backups' }))
}

/** Drops a scratch database of any size. */
export async function dropScratch(client: ClickHouseClient, database: string): Promise<void> {
  await client.command({ query: `DROP DATABASE IF EXISTS ${database} SYNC`, clickhouse_settings: ANY_SIZE })
}

const failed = (what: string, found: string) =>
  new OpsError(1, [error('BACKUP_FAILED', what, { found, hint: './scripts/health-check.mts --only clickhouse' })])
/** Returns the error that ends an interrupted run. */
export const interrupted = (): OpsError =>
  new OpsError(1, [error('INTERRUPTED', 'backup', { found: 'interrupted by a signal', hint: 'run it again' })])
