/** Checks of brokers, partition replicas and log directories. */
import { error, type Finding, warning } from '../common/findings.mts'
import type { Metadata, Partition } from '../kafka/cluster-requests.mts'
import type { LogDir } from '../kafka/log-dirs.mts'
import { MIN_IN_SYNC } from '../topics/file.mts'
import type { ActualTopic } from '../topics/plan.mts'

/** Replication factor of a create request that leaves the choice to the broker (`default.replication.factor`). */
export const BROKER_DEFAULT = -1

/** True for a partition with a replica that is missing or lags. */
export const isUnderReplicated = ({ inSync, replicas }: Partition): boolean => inSync.length < replicas.length

/**
 * Counts brokers and impaired partitions, and reports brokers that are down and partitions that have no leader, have
 * too few in-sync replicas for acks=all, are under-replicated, or are not led by their preferred broker. Only what
 * stops readers or writers is an error.
 * @param actual topics with their configuration, including at least every under-replicated topic
 */
export function judgeReplicas(
  { brokers, topics }: Pick<Metadata, 'brokers' | 'topics'>,
  actual: readonly ActualTopic[],
  hint: string,
) {
  const partitions = topics.flatMap(({ name, partitions: list }) => list.map((each) => ({ name, ...each })))
  const up = new Set(brokers.map(({ id }) => id))
  const down = [...new Set(partitions.flatMap(({ replicas }) => replicas))].filter((id) => !up.has(id))
  const minInSync = new Map(actual.map(({ name, config }) => [name, Number(config.get(MIN_IN_SYNC)?.value ?? 1)]))
  const offline = partitions.filter(({ leader }) => leader < 0)
  const led = partitions.filter(({ leader }) => leader >= 0)
  const underMinInSync = led.filter(({ name, inSync }) => inSync.length < (minInSync.get(name) ?? 1))
  const underReplicated = led.filter(isUnderReplicated)
  const offPreferred = led.filter(
    ({ leader, replicas, inSync }) => leader !== replicas[0] && inSync.includes(replicas[0] ?? -1),
  )
  const findings: Finding[] = []
  const known = up.size + down.length
  if (down.length > 0) {
    const found = `${up.size} of ${known} are up; down: ${down.sort((a, b) => a - b).join(', ')}`
    findings.push(
      warning('KAFKA_BROKERS_DOWN', 'kafka brokers', { found, hint: 'start them, or reassign their partitions' }),
    )
  }
  const report = (make: typeof error, code: string, what: string, list: typeof partitions, next = hint, more = '') => {
    if (list.length === 0) return
    const names = [...new Set(list.map(({ name, index }) => `${name}-${index}`))].slice(0, 5).join(', ')
    findings.push(make(code, `kafka ${what}`, { found: `${list.length}: ${names}${more}`, hint: next }))
  }
  report(error, 'KAFKA_OFFLINE', 'offline partitions', offline)
  const refused = '; writes with acks=all are refused'
  report(error, 'KAFKA_UNDER_MIN_ISR', 'partitions under min.insync.replicas', underMinInSync, hint, refused)
  report(warning, 'KAFKA_UNDER_REPLICATED', 'under-replicated partitions', underReplicated)
  const elect =
    'kafka-leader-election.sh --election-type preferred, unless the brokers rebalance leaders within five minutes'
  report(warning, 'KAFKA_LEADERS', 'partitions not led by their preferred broker', offPreferred, elect)
  const details = {
    ...{ brokers: up.size, knownBrokers: known, offline: offline.length, underReplicated: underReplicated.length },
    ...{ underMinInSync: underMinInSync.length, offPreferred: offPreferred.length },
  }
  return { details, findings }
}

/**
 * Summarizes each broker's log directories and reports the offline ones: their replicas are unavailable, though other
 * brokers may hold copies.
 */
export function judgeLogDirs(brokers: ReadonlyMap<number, readonly LogDir[]>, hint: string) {
  const disks = [...brokers].map(([broker, dirs]) => ({
    broker,
    directories: dirs.length,
    offline: dirs.filter(({ error: cause }) => cause !== 'NONE').length,
    bytes: dirs.flatMap(({ replicas }) => replicas).reduce((sum, { bytes }) => sum + bytes, 0),
  }))
  const findings = [...brokers].flatMap(([broker, dirs]) =>
    dirs
      .filter(({ error: cause }) => cause !== 'NONE')
      .map(({ path, error: cause }) => {
        const found = `log directory ${path} is offline (${cause}): its partitions are unavailable on this broker until the disk is repaired and the broker restarted`
        return error('KAFKA_LOG_DIR', `kafka broker ${broker}`, { found, hint })
      }),
  )
  return { disks, findings }
}

/** `1 broker`, `3 brokers`, `2 of 3 brokers`. */
export function brokersText({ brokers, knownBrokers }: { brokers: number; knownBrokers: number }): string {
  return `${brokers < knownBrokers ? `${brokers} of ` : ''}${knownBrokers} ${knownBrokers === 1 ? 'broker' : 'brokers'}`
}
