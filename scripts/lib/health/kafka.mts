import { randomUUID } from 'node:crypto'
import { kafkaAnswers } from '../common/tcp.mts'
import { type Cluster, openCluster, openKafkajs, splitAddress } from '../kafka/cluster.mts'
import { readLags } from '../kafka/lag.mts'
import type { Settings } from '../settings/settings.mts'
import { readTopicPlan } from '../topics/apply.mts'
import { readDeclaredTopics } from '../topics/file.mts'
import { withoutShortening } from '../topics/plan.mts'
import { planFindings, shorteningWarnings } from '../topics/report.mts'
import { Findings, isLeftover, type Probe, type ProbeOptions } from './probe.mts'

/**
 * Whether Kafka serves: reachable at its advertised address, controller, partitions, declared topics, consumer lag; with
 * `deep`, a record written. @throws when it gives no answer
 */
export async function probeKafka(settings: Settings, options: ProbeOptions): Promise<Probe> {
  const findings = new Findings('kafka')
  const declared = readDeclaredTopics(settings)
  // A broker that refuses is told at once; opening the cluster would wait for one that is starting.
  await Promise.any(
    settings.KAFKA_BOOTSTRAP_SERVERS.map((server) => kafkaAnswers(splitAddress(server), options.timeoutMs)),
  )
  const cluster = await openCluster(settings, { timeoutMs: options.timeoutMs })
  try {
    const { brokers, controllerId, clusterId, topics } = cluster.metadata
    const unreachable = await checkAdvertised(cluster, options.timeoutMs, findings)
    const partitions = checkPartitions(cluster, findings)
    const plan = await readTopicPlan(cluster, declared)
    // A topic that keeps its records for longer than declared lacks nothing; `npm start` leaves it so.
    findings.list.push(...planFindings(withoutShortening(plan)), ...shorteningWarnings(plan))
    // Groups and records are asked at the advertised address; where that fails, the reason is already told.
    const groups = unreachable ? [] : await checkGroups(cluster, options, findings)
    const { deep, timeoutMs } = options
    if (deep && !unreachable) {
      const hint = 'docker logs l2_kafka, or .embedded/data/logs/kafka.log'
      const expected = 'a record written and acknowledged'
      const work = () => writeRecord(settings, timeoutMs)
      await findings.attempt('KAFKA_WRITE', 'scratch topic', { expected, hint, timeoutMs }, work)
    }
    const own = topics.filter(({ internal }) => !internal)
    const totalLag = groups.reduce((sum, { lag }) => sum + (lag ?? 0), 0)
    const lag =
      groups.length > 0 ? `, ${groups.length} ${groups.length === 1 ? 'group' : 'groups'} with lag ${totalLag}` : ''
    return {
      summary: `${brokers.length} broker, ${own.length} topics${lag}`,
      details: {
        clusterId,
        controllerId,
        brokers: brokers.length,
        topics: own.length,
        ...partitions,
        totalLag,
        groups,
      },
      findings: findings.list,
    }
  } finally {
    cluster.close()
  }
}

/** True when a broker does not answer where it tells clients to go. */
async function checkAdvertised({ metadata: seen }: Cluster, timeoutMs: number, findings: Findings): Promise<boolean> {
  const answers = await Promise.all(seen.brokers.map((broker) => kafkaAnswers(broker, timeoutMs).catch(() => false)))
  for (const [index, { id, host, port }] of seen.brokers.entries()) {
    if (answers[index]) continue
    const hint = 'set KAFKA_ADVERTISED_HOST in .env to an address that clients reach, then: docker-compose up -d kafka'
    const found = `advertised ${host}:${port}, where no broker answers`
    findings.add(
      'error',
      'KAFKA_ADVERTISED',
      { found, expected: 'an address that clients reach', hint },
      `broker ${id}`,
    )
  }
  return answers.includes(false)
}

function checkPartitions(
  { metadata: seen }: Cluster,
  findings: Findings,
): { offline: number; underReplicated: number } {
  const partitions = seen.topics.flatMap(({ name, partitions }) => partitions.map((each) => ({ name, ...each })))
  const offline = partitions.filter(({ leader }) => leader < 0)
  const lacking = partitions.filter(({ leader, inSync, replicas }) => leader >= 0 && inSync.length < replicas.length)
  const report = (severity: 'error' | 'warning', code: string, what: string, list: typeof partitions) => {
    if (list.length === 0) return
    const names = [...new Set(list.map(({ name, index }) => `${name}-${index}`))].slice(0, 5).join(', ')
    const hint = 'docker logs l2_kafka, or .embedded/data/logs/kafka.log'
    findings.add(severity, code, { found: `${list.length}: ${names}`, expected: 'none', hint }, what)
  }
  report('error', 'KAFKA_OFFLINE', 'offline partitions', offline)
  report('warning', 'KAFKA_UNDER_REPLICATED', 'under-replicated partitions', lacking)
  return { offline: offline.length, underReplicated: lacking.length }
}

/**
 * Every consumer group's lag: records between its committed offsets and the ends of their partitions; null where it could not be told.
 * Where nothing is committed it is a warning at most: a reader that began at the end and never commits has all of that before it, and nothing to read.
 */
async function checkGroups(
  cluster: Cluster,
  { lagWarning, lagCritical, timeoutMs }: ProbeOptions,
  findings: Findings,
): Promise<{ group: string; lag: number | null; uncommitted: number }[]> {
  const { error, groups } = await readLags(cluster, timeoutMs / 2)
  if (error !== 'NONE') {
    const hint = './scripts/health-check.mts --only kafka --wait 30'
    findings.add('unknown', 'KAFKA_GROUPS', { found: error, expected: 'the list of them', hint }, 'consumer groups')
  }
  for (const { group, error, lag, uncommitted } of groups) {
    const about = `group ${group}`
    const critical = lag - uncommitted > lagCritical
    const limit = critical ? lagCritical : Math.min(lagWarning, lagCritical)
    if (error !== 'NONE') {
      const hint = './scripts/health-check.mts --only kafka --wait 30'
      findings.add('unknown', 'KAFKA_GROUP', { found: error, expected: 'its committed offsets', hint }, about)
    } else if (lag > limit) {
      const watch = './scripts/health-check.mts --only kafka --watch'
      const found = `${lag} records behind${uncommitted === 0 ? '' : `, ${uncommitted} of them in partitions with nothing committed, counted from the first record`}`
      const hint =
        uncommitted === 0
          ? `start or add consumers of the group, and watch it: ${watch}`
          : `see that its consumers commit; those that begin at the end (auto.offset.reset=latest) have less to read than that: ${watch}`
      const expected = `at most ${limit}`
      findings.add(critical ? 'error' : 'warning', 'KAFKA_LAG', { found, expected, hint }, about)
    }
  }
  return groups.map(({ group, error, lag, uncommitted }) => ({
    group,
    lag: error === 'NONE' ? lag : null,
    uncommitted,
  }))
}

/** What the names of scratch topics begin with; the time follows, in ms. */
const SCRATCH = 'health-check-'

/**
 * Writes a record, acknowledged, to a scratch topic of its own, and deletes the topic: no consumer can take it for data. Deletes those, too,
 * that checks left behind which were killed.
 * @throws {Error} when the record is not there
 */
async function writeRecord(settings: Settings, timeoutMs: number): Promise<void> {
  const topic = `${SCRATCH}${Date.now()}-${randomUUID()}`
  const kafka = await openKafkajs(settings, { timeoutMs })
  try {
    const [admin, producer] = await Promise.all([kafka.admin(), kafka.producer()])
    const left = (await admin.listTopics()).filter((name) => isLeftover(name, SCRATCH))
    if (left.length > 0) await admin.deleteTopics({ topics: left })
    await admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor: 1 }], waitForLeaders: true })
    try {
      await producer.send({ topic, acks: -1, messages: [{ key: 'canary', value: 'canary' }] })
      const [end] = await admin.fetchTopicOffsets(topic)
      if (end?.high !== '1') throw new Error(`high watermark ${end?.high ?? 'unknown'} after one record`)
    } finally {
      await admin.deleteTopics({ topics: [topic] })
    }
  } finally {
    await kafka.close()
  }
}
