import { randomUUID } from 'node:crypto'
import { error, type Finding, OpsError, warning } from '../common/findings.mts'
import { logHint } from '../engines/logs.mts'
import { type Cluster, openCluster } from '../kafka/cluster.mts'
import { describeQuorum, metadata } from '../kafka/cluster-requests.mts'
import { lagsOf, readPositions } from '../kafka/lag.mts'
import { lagFindings } from '../kafka/lag-findings.mts'
import { type LogDir, readLogDirs } from '../kafka/log-dirs.mts'
import { unservedFindings } from '../kafka/offsets.mts'
import { isPermissionError } from '../kafka/permissions.mts'
import type { Settings } from '../settings/settings.mts'
import { readDeclaredTopics } from '../topics/file.mts'
import { planFindings, shorteningWarnings } from '../topics/findings.mts'
import { planTopics, withoutShortening } from '../topics/plan.mts'
import { readTopics } from '../topics/read.mts'
import { throttledFindings } from '../topics/throttle.mts'
import { BROKER_DEFAULT, brokersText, isUnderReplicated, judgeLogDirs, judgeReplicas } from './brokers.mts'
import { attempt, isLeftover, type Probe, type ProbeOptions } from './probe.mts'

/**
 * Checks Kafka: advertised addresses, controller quorum, partitions, log directories, declared topics and consumer lag;
 * with `deep`, also writes a record. @throws if no broker answers
 */
export async function probeKafka(settings: Settings, options: ProbeOptions): Promise<Probe> {
  const findings: Finding[] = []
  const declared = readDeclaredTopics(settings)
  const opening = openCluster(settings, { timeoutMs: options.timeoutMs, refused: 'fail' })
  const cluster = await opening.catch((failure: unknown) => {
    if (failure instanceof OpsError && failure.exitCode === 2) return failure
    throw failure instanceof OpsError ? failure.cause : failure
  })
  if (cluster instanceof OpsError) return { summary: 'refused', details: {}, findings: cluster.findings }
  try {
    const { controllerId, clusterId, topics } = cluster.metadata
    const unreachable = await checkAdvertised(cluster, findings)
    const { quorumVoters, quorumLag } =
      settings.KAFKA_MODE === 'kraft' ? await checkQuorum(cluster, logHint('kafka', settings), findings) : {}
    const names = topics.map(({ name }) => name)
    const underReplicated = topics
      .filter(({ partitions }) => partitions.some(isUnderReplicated))
      .map(({ name }) => name)
    const actual = await readTopics(cluster, [...declared.map(({ name }) => name), ...underReplicated])
    const plan = planTopics(declared, actual)
    const replicas = judgeReplicas(cluster.metadata, actual, logHint('kafka', settings))
    findings.push(...replicas.findings)
    const logDirs = unreachable ? new Map<number, LogDir[]>() : await readLogDirs(cluster, cluster.metadata.brokers)
    const { disks, findings: offline } = judgeLogDirs(logDirs, logHint('kafka', settings))
    findings.push(...offline, ...throttledFindings(actual))
    // The metadata does not show that a leader refuses to serve its partition.
    const unserved = unreachable ? [] : await unservedFindings(cluster, names, options.timeoutMs / 4)
    findings.push(...unserved)
    // A topic that retains records for longer than declared is only a warning; `npm start` does not change it.
    findings.push(...planFindings(withoutShortening(plan)), ...shorteningWarnings(plan))
    // These requests go to the advertised addresses; if those do not answer, that is already reported.
    const groups = unreachable || unserved.length > 0 ? [] : await checkGroups(cluster, options, findings)
    const { deep, timeoutMs } = options
    if (deep && !unreachable) {
      const hint = logHint('kafka', settings)
      const work = () => writeRecord(settings, timeoutMs)
      findings.push(...(await attempt('KAFKA_WRITE', 'kafka scratch topic', { hint, timeoutMs }, work)))
    }
    const userTopics = topics.filter(({ internal }) => !internal)
    const controller =
      quorumLag === undefined ? '' : `, KRaft quorum of ${quorumVoters}${quorumLag > 0 ? ` with lag ${quorumLag}` : ''}`
    const totalLag = groups.reduce((sum, { lag }) => sum + (lag ?? 0), 0)
    const lag =
      groups.length > 0 ? `, ${groups.length} ${groups.length === 1 ? 'group' : 'groups'} with lag ${totalLag}` : ''
    return {
      summary: `${brokersText(replicas.details)}${controller}, ${userTopics.length} topics${lag}`,
      details: {
        clusterId,
        controllerId,
        ...(quorumLag === undefined ? {} : { quorumVoters: quorumVoters ?? 0, quorumLag }),
        topics: userTopics.length,
        ...replicas.details,
        disks,
        totalLag,
        groups,
      },
      findings,
    }
  } finally {
    cluster.close()
  }
}

/** Returns true if a broker does not answer at its advertised address. */
async function checkAdvertised(cluster: Cluster, findings: Finding[]): Promise<boolean> {
  const { brokers } = cluster.metadata
  const answers = await Promise.allSettled(brokers.map(({ id }) => cluster.sendTo(id, metadata)))
  const silent = brokers.filter((_, index) => answers[index]?.status === 'rejected')
  for (const { id, host, port } of silent) {
    const found = `advertised as ${host}:${port}, where no broker answers`
    const hint =
      silent.length < brokers.length
        ? 'start this broker, or make its address reachable from this machine; other brokers of the cluster answer'
        : 'set KAFKA_ADVERTISED_HOST in .env to an address that clients can reach, then: docker-compose up -d kafka'
    findings.push(error('KAFKA_ADVERTISED', `kafka broker ${id}`, { found, hint }))
  }
  return silent.length > 0
}

/**
 * Returns the number of KRaft voters and the lag of the slowest in records; empty if the broker does not report them.
 */
async function checkQuorum(
  cluster: Cluster,
  hint: string,
  findings: Finding[],
): Promise<{ quorumVoters?: number; quorumLag?: number }> {
  const { error: failure, leader, lag, voters } = await cluster.send(describeQuorum)
  if (failure === 'NONE' && leader >= 0) return { quorumVoters: voters.length, quorumLag: lag }
  // A missing permission on the cluster is not a fault.
  if (isPermissionError(failure)) return {}
  const [make, found] = failure === 'NONE' ? [error, 'no leader'] : [warning, `cannot be described (${failure})`]
  findings.push(make('KAFKA_QUORUM', 'kafka controller quorum', { found, hint }))
  return {}
}

/**
 * Returns the lag of each consumer group, null if unknown, and by how many records its commits exceed the ends of
 * partitions.
 */
async function checkGroups(cluster: Cluster, options: ProbeOptions, findings: Finding[]) {
  const lags = lagsOf(await readPositions(cluster, options.timeoutMs / 2))
  findings.push(...lagFindings(lags, options))
  return lags.groups.map(({ group, error: failure, lag, uncommitted, ahead }) => ({
    group,
    lag: failure === 'NONE' && ahead.size === 0 ? lag : null,
    uncommitted,
    ahead: [...ahead.values()].reduce((total, each) => total + each, 0),
  }))
}

/** Name prefix of scratch topics; the creation time in ms follows. */
const SCRATCH = 'health-check-'

/**
 * Creates a scratch topic, which no consumer mistakes for data, writes a record with acks=all, and deletes the topic.
 * Also deletes the topics of checks that were killed.
 * @throws {Error} if the record is not in the topic
 */
async function writeRecord(settings: Settings, timeoutMs: number): Promise<void> {
  const topic = `${SCRATCH}${Date.now()}-${randomUUID()}`
  const { openKafkajs } = await import('../kafka/clients.mts')
  const kafka = await openKafkajs(settings, { timeoutMs })
  try {
    const [admin, producer] = await Promise.all([kafka.admin(), kafka.producer()])
    const left = (await admin.listTopics()).filter((name) => isLeftover(name, SCRATCH))
    if (left.length > 0) await admin.deleteTopics({ topics: left })
    await admin.createTopics({
      topics: [{ topic, numPartitions: 1, replicationFactor: BROKER_DEFAULT }],
      waitForLeaders: true,
    })
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
