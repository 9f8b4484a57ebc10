/** Proves a reset: other topics than before, empty, as declared, and nothing committed beyond their ends. */

import type { Finding } from '../common/findings.mts'
import { waitUntil } from '../common/wait.mts'
import type { Cluster } from '../kafka/cluster.mts'
import { metadata, type TopicMetadata } from '../kafka/cluster-requests.mts'
import type { ConsumerGroup } from '../kafka/groups.mts'
import type { PartitionOffset } from '../kafka/offset-requests.mts'
import { readOffsets } from '../kafka/offsets.mts'
import { readTopicPlan } from '../topics/apply.mts'
import type { DeclaredTopic } from '../topics/file.mts'
import { planFindings } from '../topics/report.mts'
import { type ResetScope, resetCommand, withoutReaders } from './guard.mts'
import type { TopicLoss } from './survey.mts'

/** The id that a broker gives which has none: one that still speaks for brokers before 2.8. */
const NO_ID = '0'.repeat(32)

/**
 * What does not hold of a reset.
 * @param before the topics as they were
 * @param groups read after the topics were made
 * @param timeoutMs to wait for partitions that do not tell where they end; one that still does not is not proven
 * @param scope what the run was told to reset, for the hints; everything declared unless given
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
  const { now, ends, unread } = await readEnds(cluster, names, timeoutMs)
  for (const [name, partitions] of unread) {
    const found = `no high watermark of partitions ${partitions.join(', ')} in ${timeoutMs / 1000} s`
    const hint = `./scripts/health-check.mts --only kafka, then: ${resetCommand(scope, [name])}`
    const expected = 'a high watermark of 0 of each'
    findings.push({ severity: 'unknown', code: 'RESET_UNPROVEN', subject: name, found, expected, hint })
  }
  const report = (severity: Finding['severity'], code: string, subject: string, found: string, expected: string) =>
    findings.push({ severity, code, subject, found, expected, hint: resetCommand(scope, [subject]) })
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
      // Of a partition that did not tell its end, nothing is known.
      if (!names.includes(topic) || unread.get(topic)?.includes(partition)) return false
      return offset > (ends.get(`${topic}/${partition}`)?.offset ?? -1)
    })
    if (beyond.length === 0) continue
    const subject = `group ${id}`
    const found = `${beyond.length} committed offsets beyond the end of their partitions`
    const hint = withoutReaders(id, resetCommand(scope))
    findings.push({ severity: 'error', code: 'RESET_OFFSETS', subject, found, expected: 'none', hint })
  }
  return findings
}

/** The topics and where their partitions end, as soon as all tell; `unread` has the partitions by topic that did not in time. */
async function readEnds(cluster: Cluster, names: readonly string[], timeoutMs: number) {
  let now: TopicMetadata[] = []
  let ends = new Map<string, PartitionOffset>()
  const unread = new Map<string, number[]>()
  const read = async () => {
    // Leaders change, so they are asked for anew.
    now = (await cluster.send(metadata)).topics.filter(({ name }) => names.includes(name))
    ends = await readOffsets(cluster, 'high', now)
    unread.clear()
    for (const { name, partitions } of now) {
      const open = partitions.map(({ index }) => index).filter((index) => !ends.has(`${name}/${index}`))
      if (open.length > 0) unread.set(name, open)
    }
    return unread.size === 0
  }
  await waitUntil(read, { timeoutMs, pollMs: 50 })
  return { now, ends, unread }
}
