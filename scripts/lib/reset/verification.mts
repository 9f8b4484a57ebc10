/** Proves a reset: other topics than before, empty, as declared, and nothing committed beyond their ends. */
import { error, type Finding, unknown, warning } from '../common/findings.mts'
import type { Cluster } from '../kafka/cluster.mts'
import type { ConsumerGroup } from '../kafka/groups.mts'
import { readEnds } from '../kafka/offsets.mts'
import type { DeclaredTopic } from '../topics/file.mts'
import { readTopicPlan } from '../topics/read.mts'
import { planFindings } from '../topics/report.mts'
import { type ResetScope, resetCommand, withoutReaders } from './hint.mts'
import type { TopicLoss } from './survey.mts'

/** The id in the answer of a broker without topic ids, as before 2.8. */
const NO_ID = '0'.repeat(32)

/**
 * What does not hold of a reset.
 * @param before the topics as they were
 * @param groups read after the topics were made
 * @param timeoutMs to wait for partitions that do not report where they end; one that still does not is not proven
 * @param scope what the run is to reset, for the hints; everything declared unless given
 */
export async function proveReset(
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
    const found = `no high watermark of partitions ${partitions.join(', ')} in ${timeoutMs / 1000} s`
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
    // A new id proves that the old records are gone: these came since. Without ids the two cannot be distinguished.
    const severity = id === NO_ID ? error : warning
    findings.push(severity('RESET_WRITTEN', name, { found: `${records} records, written since it was created`, hint }))
  }
  for (const { id, committed } of groups) {
    const beyond = committed.filter(({ topic, partition, offset }) => {
      // Of a partition that did not report its end, nothing is known.
      if (!names.includes(topic) || unread.get(topic)?.includes(partition)) return false
      return offset > (high.get(`${topic}/${partition}`)?.offset ?? -1)
    })
    if (beyond.length === 0) continue
    const found = `${beyond.length} committed offsets beyond the end of their partitions`
    findings.push(error('RESET_OFFSETS', `group ${id}`, { found, hint: withoutReaders(id, resetCommand(scope)) }))
  }
  return findings
}
