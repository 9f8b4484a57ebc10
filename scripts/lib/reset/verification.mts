/** Verifies a reset: the topics are new, empty and as declared, and no offset is committed beyond their ends. */
import { error, type Finding, unknown, warning } from '../common/findings.mts'
import type { Cluster } from '../kafka/cluster.mts'
import type { ConsumerGroup } from '../kafka/groups.mts'
import { readEnds } from '../kafka/offsets.mts'
import type { DeclaredTopic } from '../topics/file.mts'
import { planFindings } from '../topics/findings.mts'
import { readTopicPlan } from '../topics/read.mts'
import { type ResetScope, resetCommand, withoutReaders } from './hint.mts'
import type { TopicLoss } from './survey.mts'

/** The topic id that brokers without topic ids (before 2.8) report. */
const NO_ID = '0'.repeat(32)

/**
 * Returns a finding for each way in which a reset is incomplete.
 * @param before the topics before the reset
 * @param groups read after the topics were recreated
 * @param timeoutMs how long to wait for partitions that do not report their end offset; they are then reported as unverified
 * @param scope the scope of the run, for the hints; everything declared unless given
 */
export async function verifyReset(
  cluster: Cluster,
  topics: readonly DeclaredTopic[],
  before: readonly TopicLoss[],
  groups: readonly ConsumerGroup[],
  timeoutMs: number,
  scope: ResetScope = { only: [], all: false },
): Promise<Finding[]> {
  const names = topics.map(({ name }) => name)
  const findings = planFindings(await readTopicPlan(cluster, topics), scope.file)
  const { topics: now, high, unread } = await readEnds(cluster, names, timeoutMs)
  for (const [name, partitions] of unread) {
    const found = `no high watermark from partitions ${partitions.join(', ')} within ${timeoutMs / 1000} s`
    const hint = `./scripts/health-check.mts --only kafka, then: ${resetCommand(scope, [name])}`
    findings.push(unknown('RESET_UNPROVEN', name, { found, hint }))
  }
  for (const { name, id } of now) {
    const hint = resetCommand(scope, [name])
    const old = before.find((topic) => topic.name === name)
    if (old && id === old.id && id !== NO_ID)
      findings.push(error('RESET_SAME_TOPIC', name, { found: `the same topic id ${id} as before the reset`, hint }))
    const records = [...high.values()]
      .filter(({ topic }) => topic === name)
      .reduce((sum, { offset }) => sum + offset, 0)
    if (records === 0) continue
    // A new id means that the old records are gone and these are new. Without ids the two cannot be distinguished.
    const severity = id === NO_ID ? error : warning
    findings.push(
      severity('RESET_WRITTEN', name, { found: `${records} records, written since the topic was recreated`, hint }),
    )
  }
  for (const { id, committed } of groups) {
    const beyond = committed.filter(({ topic, partition, offset }) => {
      // Without the end of the partition there is nothing to compare with.
      if (!names.includes(topic) || unread.get(topic)?.includes(partition)) return false
      return offset > (high.get(`${topic}/${partition}`)?.offset ?? -1)
    })
    if (beyond.length === 0) continue
    const found = `${beyond.length} committed offsets beyond the end of their partitions`
    findings.push(error('RESET_OFFSETS', `group ${id}`, { found, hint: withoutReaders(id, resetCommand(scope)) }))
  }
  return findings
}
