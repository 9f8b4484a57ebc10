/** Guards features that support only a single ClickHouse server. */
import { configError, error } from '../common/findings.mts'
import type { Settings } from '../settings/settings.mts'

/** @throws {OpsError} exit code 2 when CLICKHOUSE_CLUSTER is set, which `what` does not support */
export function refuseCluster({ CLICKHOUSE_CLUSTER: cluster }: Settings, what: string): void {
  if (cluster === '') return
  const found = `CLICKHOUSE_CLUSTER=${cluster}, but this works only on a single server`
  throw configError([error('CLICKHOUSE_CLUSTER', what, { found, hint: 'see "Several servers" in docs/targets.md' })])
}
