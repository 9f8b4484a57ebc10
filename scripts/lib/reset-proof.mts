/** Proves a reset: other topics than before, empty, as declared, and nothing committed beyond their ends. */
import type { ConsumerGroup } from './consumer-groups.mts'
import type { Finding } from './findings.mts'
import type { Cluster } from './kafka.mts'
import { metadata } from './kafka-requests.mts'
import { again } from './reset-apply.mts'
import type { TopicLoss } from './reset-survey.mts'
import { readTopicPlan } from './topic-apply.mts'
import { readOffsets } from './topic-offsets.mts'
import { planFindings } from './topic-plan.mts'
import type { DeclaredTopic } from './topics-file.mts'

/** The id that a broker gives which has none: one that still speaks for brokers before 2.8. */
const NO_ID = '0'.repeat(32)

/**
 * What does not hold of a reset.
 * @param before the topics as they were
 * @param groups read after the topics were made
 */
export async function proveReset(
  cluster: Cluster,
  topics: readonly DeclaredTopic[],
  before: readonly TopicLoss[],
  groups: readonly ConsumerGroup[],
): Promise<Finding[]> {
  const names = topics.map(({ name }) => name)
  const findings = planFindings(await readTopicPlan(cluster, topics))
  const now = (await cluster.send(metadata)).topics.filter(({ name }) => names.includes(name))
  const ends = await readOffsets(cluster, 'high', now)
  const report = (severity: Finding['severity'], code: string, subject: string, found: string, expected: string) =>
    findings.push({ severity, code, subject, found, expected, hint: again(subject) })
  for (const { name, id } of now) {
    const old = before.find((topic) => topic.name === name)
    if (old && id === old.id && id !== NO_ID)
      report('error', 'RESET_SAME_TOPIC', name, `the same topic id ${id}`, 'a new one')
    const records = [...ends.values()]
      .filter(({ topic }) => topic === name)
      .reduce((sum, { offset }) => sum + offset, 0)
    if (records === 0) continue
    // A new id proves that the old records are gone: what is there came since. Without ids nothing tells the two apart.
    const severity = id === NO_ID ? 'error' : 'warning'
    report(severity, 'RESET_WRITTEN', name, `${records} records, written since it was made`, 'a high watermark of 0')
  }
  for (const { id, committed } of groups) {
    const beyond = committed.filter(({ topic, partition, offset }) => {
      return names.includes(topic) && offset > (ends.get(`${topic}/${partition}`)?.offset ?? -1)
    })
    if (beyond.length === 0) continue
    const subject = `group ${id}`
    const found = `${beyond.length} committed offsets beyond the end of their partitions`
    const hint = 'stop its programs, then: ./scripts/reset-kafka.mts'
    findings.push({ severity: 'error', code: 'RESET_OFFSETS', subject, found, expected: 'none', hint })
  }
  return findings
}
