/** Protects a reset from the wrong topics, the wrong cluster, and active consumers. */
import { configError, error, type Finding, warning } from '../common/findings.mts'
import { otherMachines, splitAddress } from '../common/tcp.mts'
import type { Metadata } from '../kafka/cluster-requests.mts'
import type { ConsumerGroup } from '../kafka/groups.mts'
import { fileFlag } from '../topics/hint.mts'
import { isIngest, type ResetScope, resetCommand, withoutReaders } from './hint.mts'

interface Selection extends Pick<ResetScope, 'only' | 'all' | 'file'> {
  /** Every declared topic. */
  declared: readonly string[]
  /** Topics in the cluster, without Kafka's internal ones. */
  present: readonly string[]
}

/**
 * Returns the names of the topics to reset: the declared ones and, with `all`, those in the cluster; never internal ones.
 * @throws {OpsError} exit code 2 for a name in `only` that is not one of them
 */
export function selectTopics({ declared, present, only, all, file }: Selection): string[] {
  const candidates = [...new Set(all ? [...declared, ...present] : declared)]
  const wrong = only.filter((name) => !candidates.includes(name))
  if (wrong.length === 0) return only.length === 0 ? candidates : candidates.filter((name) => only.includes(name))
  throw configError(
    wrong.map((name) => {
      const undeclared = !all && present.includes(name)
      const found = undeclared ? 'an undeclared topic' : 'no such topic'
      const hint = undeclared
        ? 'add --all to delete it permanently, or name the file that declares it with --file'
        : `./scripts/reset-kafka.mts --dry-run${fileFlag(file)}`
      return error('USAGE', `--only ${name}`, { found, expected: candidates.join(' '), hint })
    }),
  )
}

/**
 * Refuses a cluster whose id is not `clusterId` or, if that is not given, a cluster with a configured or advertised address that is not
 * this machine's.
 * @throws {OpsError} exit code 2
 */
export async function guardCluster(
  seen: Metadata,
  servers: readonly string[],
  clusterId: string | undefined,
): Promise<void> {
  if (clusterId === seen.clusterId) return
  const subject = `kafka ${servers.join(',')}`
  if (clusterId !== undefined) {
    const hint = 'check KAFKA_BOOTSTRAP_SERVERS and --cluster-id'
    const expected = `${clusterId} from --cluster-id`
    throw configError([error('OTHER_CLUSTER', subject, { found: `cluster ${seen.clusterId}`, expected, hint })])
  }
  const hosts = [
    ...new Set([...servers.map((server) => splitAddress(server).host), ...seen.brokers.map((b) => b.host)]),
  ]
  const remote = await otherMachines(hosts)
  if (remote.length === 0) return
  const found = `a broker at ${remote.join(', ')}, which is not this machine`
  const hint = `add --cluster-id ${seen.clusterId}, if this is the cluster to reset`
  throw configError([error('REMOTE_CLUSTER', subject, { found, hint })])
}

export const isActive = ({ state }: ConsumerGroup): boolean => state !== 'Empty' && state !== 'Dead'

/** Returns an error for each active group, or a warning with `force`. */
export function activeFindings(groups: readonly ConsumerGroup[], force: boolean, scope: ResetScope): Finding[] {
  return groups.filter(isActive).map(({ id, state, members }) => {
    const found = `${state}, ${members.join(', ') || 'members joining'}; its next commits would exceed the new high watermark`
    const subject = `group ${id}`
    if (!force) {
      const hint = `${withoutReaders(id, resetCommand(scope))}; or add --force`
      return error('GROUP_ACTIVE', subject, { found, hint })
    }
    const restart = 'restart its consumers after the reset'
    const hint = isIngest(id)
      ? './scripts/ingest.mts status (the ingest switches to the new topics by itself)'
      : restart
    return warning('GROUP_ACTIVE', subject, { found, hint })
  })
}
