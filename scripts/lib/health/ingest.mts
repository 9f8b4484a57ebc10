import type { ClickHouseClient } from '@clickhouse/client'
import { connectClickHouse, refusalOf } from '../clickhouse/client.mts'
import { ingestStatements } from '../clickhouse/statements.mts'
import { type Finding, OpsError, unknown } from '../common/findings.mts'
import { networkCause } from '../common/tcp.mts'
import { statusFindings } from '../ingest/report.mts'
import { type IngestObject, judgeObjects, readObjects } from '../ingest/state.mts'
import { readStatus } from '../ingest/status.mts'
import type { Settings } from '../settings/settings.mts'
import type { Probe, ProbeOptions } from './probe.mts'

/** Checks that the built-in ingest, if it is on, reads and stores messages, and reports its lag. */
export async function probeIngest(settings: Settings, { timeoutMs, ...limits }: ProbeOptions): Promise<Probe> {
  const client = await connectClickHouse(settings, timeoutMs)
  try {
    const objects = await objectsOf(client, settings)
    if (!Array.isArray(objects))
      return { state: 'unknown', summary: 'cannot query ClickHouse', details: {}, findings: [objects] }
    if (judgeObjects(ingestStatements(settings), objects).state === 'off')
      return { state: 'skipped', summary: 'off: ./scripts/ingest.mts on', details: {}, findings: [] }
    const status = await readStatus(client, settings, { timeoutMs, rates: false })
    const lags = status.topics.map(({ lag }) => lag)
    const lag = lags.includes(null) ? null : lags.reduce((sum: number, each) => sum + (each ?? 0), 0)
    const rejectsToday = status.topics.reduce((sum, topic) => sum + topic.rejectsToday, 0)
    return {
      summary: `${status.state}, lag ${lag ?? 'unknown'}, ${rejectsToday} rejects in 24 h`,
      details: { state: status.state, lag, rejectsToday },
      findings: statusFindings(status, limits),
    }
  } catch (error) {
    // Kafka does not answer. Its own probe reports that as an error; here the result is only unknown.
    if (!(error instanceof OpsError)) throw error
    return { summary: 'Kafka does not answer', details: {}, findings: error.findings }
  } finally {
    await client.close()
  }
}

/** Returns the objects of the ingest, or a finding if ClickHouse does not list them. */
async function objectsOf(client: ClickHouseClient, settings: Settings): Promise<IngestObject[] | Finding> {
  try {
    return await readObjects(client)
  } catch (failure) {
    const refusal = refusalOf(settings, failure)
    if (refusal) return refusal
    const address = `${settings.CLICKHOUSE_HOST}:${settings.CLICKHOUSE_PORT}`
    const found = `cannot determine whether it is on: no answer from ClickHouse at ${address} (${networkCause(failure)})`
    return unknown('INGEST_UNTOLD', 'ingest', { found, hint: './scripts/health-check.mts --only clickhouse' })
  }
}
