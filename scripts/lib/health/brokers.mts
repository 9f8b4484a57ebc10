/** What a cluster's metadata says about its brokers and the copies of its partitions. */
import { error, type Finding, warning } from '../common/findings.mts'
import type { Metadata, Partition } from '../kafka/cluster-requests.mts'
import type { LogDir } from '../kafka/log-dirs.mts'
import { MIN_IN_SYNC } from '../topics/file.mts'
import type { ActualTopic } from '../topics/plan.mts'

/** The number of copies that the broker gives topics which do not say: one here, three with most services of others. */
export const BROKERS_OWN = -1

/** A partition of which a copy is missing or behind. */
export const isLacking = ({ inSync, replicas }: Partition): boolean => inSync.length < replicas.length

/**
 * How many brokers are up, and are named by partitions, and how many partitions lack what; with findings of brokers that are down, and of
 * partitions without a leader, without enough copies for acks=all, with a copy missing, or led by another broker than the preferred one. Only
 * what stops readers or writers is an error.
 * @param actual topics with their configuration: at least those of which a copy is missing
 */
export function judgeReplicas(
  { brokers, topics }: Pick<Metadata, 'brokers' | 'topics'>,
  actual: readonly ActualTopic[],
  hint: string,
) {
  const partitions = topics.flatMap(({ name, partitions: list }) => list.map((each) => ({ name, ...each })))
  const up = new Set(brokers.map(({ id }) => id))
  const down = [...new Set(partitions.flatMap(({ replicas }) => replicas))].filter((id) => !up.has(id))
  const needed = new Map(actual.map(({ name, config }) => [name, Number(config.get(MIN_IN_SYNC)?.value ?? 1)]))
  const offline = partitions.filter(({ leader }) => leader < 0)
  const led = partitions.filter(({ leader }) => leader >= 0)
  const few = led.filter(({ name, inSync }) => inSync.length < (needed.get(name) ?? 1))
  const lacking = led.filter(isLacking)
  const moved = led.filter(
    ({ leader, replicas, inSync }) => leader !== replicas[0] && inSync.includes(replicas[0] ?? -1),
  )
  const findings: Finding[] = []
  const known = up.size + down.length
  if (down.length > 0) {
    const found = `${up.size} of ${known} are up; down: ${down.sort((a, b) => a - b).join(', ')}`
    findings.push(
      warning('KAFKA_BROKERS_DOWN', 'kafka brokers', { found, hint: 'start them, or move their partitions' }),
    )
  }
  const report = (make: typeof error, code: string, what: string, list: typeof partitions, next = hint, more = '') => {
    if (list.length === 0) return
    const names = [...new Set(list.map(({ name, index }) => `${name}-${index}`))].slice(0, 5).join(', ')
    findings.push(make(code, `kafka ${what}`, { found: `${list.length}: ${names}${more}`, hint: next }))
  }
  report(error, 'KAFKA_OFFLINE', 'offline partitions', offline)
  const refused = '; what is sent with acks=all is refused'
  report(error, 'KAFKA_UNDER_MIN_ISR', 'partitions under min.insync.replicas', few, hint, refused)
  report(warning, 'KAFKA_UNDER_REPLICATED', 'under-replicated partitions', lacking)
  const elect = 'kafka-leader-election.sh --election-type preferred, unless the brokers do it within five minutes'
  report(warning, 'KAFKA_LEADERS', 'partitions led by another broker than the preferred one', moved, elect)
  const details = {
    ...{ brokers: up.size, knownBrokers: known, offline: offline.length, underReplicated: lacking.length },
    ...{ underMinInSync: few.length, offPreferred: moved.length },
  }
  return { details, findings }
}

/** Each broker's log directories, and findings of those that it cannot use: what lies there is lost or missing, though others may hold copies. */
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
        const found = `log directory ${path} is offline (${cause}): the broker serves nothing of it until the disk is repaired and the broker restarted`
        return error('KAFKA_LOG_DIR', `kafka broker ${broker}`, { found, hint })
      }),
  )
  return { disks, findings }
}

/** `1 broker`, `3 brokers`, `2 of 3 brokers`. */
export function brokersText({ brokers, knownBrokers }: { brokers: number; knownBrokers: number }): string {
  return `${brokers < knownBrokers ? `${brokers} of ` : ''}${knownBrokers} ${knownBrokers === 1 ? 'broker' : 'brokers'}`
}
