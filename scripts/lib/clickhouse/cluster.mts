/** What works on one server of ClickHouse alone. */
import { configError, error } from '../common/findings.mts'
import type { Settings } from '../settings/settings.mts'

/** @throws {OpsError} exit code 2 when the tables are those of a cluster, which `what` does not know to handle */
export function refuseCluster({ CLICKHOUSE_CLUSTER: cluster }: Settings, what: string): void {
  if (cluster === '') return
  const found = `CLICKHOUSE_CLUSTER=${cluster}, and this works on one server alone`
  throw configError([error('CLICKHOUSE_CLUSTER', what, { found, hint: 'see "Several servers" in docs/targets.md' })])
}
