/** Implements create-topics, from reading the file to verifying the result; `npm start` calls it in-process. */
import { configError, error } from '../common/findings.mts'
import { openCluster } from '../kafka/cluster.mts'
import { metadata } from '../kafka/cluster-requests.mts'
import { TAKE_OVER_MS, unservedFindings } from '../kafka/offsets.mts'
import type { Settings } from '../settings/settings.mts'
import { applyTopicPlan } from './apply.mts'
import { clusterMistakes } from './cluster-mistakes.mts'
import { type DeclaredTopic, readTopicsFile } from './file.mts'
import { growthWarnings, impossibleFindings, planFindings, shorteningWarnings } from './findings.mts'
import { fileFlag } from './hint.mts'
import { unevenFindings } from './imbalance.mts'
import { laterPlan, narrowPlan, withoutShortening, withRebalance } from './plan.mts'
import { readTopicPlan } from './read.mts'
import type { Synced } from './report.mts'
import { byPosition } from './yaml-source.mts'

export interface SyncOptions {
  /** Path of the declaration; kafka/topics.yml unless given. */
  file?: string | undefined
  /** Only these topics; all if empty. */
  only?: readonly string[]
  /** `plan` and `check` change nothing; `check` also reports every difference as a finding. */
  mode: 'apply' | 'plan' | 'check'
  /** Whether to make changes that cause the broker to delete records, such as a shorter retention; true unless given. */
  mayShorten?: boolean
  /** Also reassigns replicas, with an optional limit of each broker's replication traffic. */
  rebalance?: { bytesPerSecond?: number | undefined } | undefined
  /** How long to wait for the broker, and again for the changes to take effect. */
  timeoutMs: number
  log: (line: string) => void
}

/**
 * Makes the cluster's topics match the file, or reports the changes that this would take.
 * @throws {OpsError} exit code 2 with every mistake in the file or, if there is none, every mistake that only the cluster can find; 3 when
 * the broker does not answer
 */
export async function syncTopics(settings: Settings, options: SyncOptions): Promise<Synced> {
  const { file, only = [] } = options
  const { topics, mistakes } = readTopicsFile(settings, file)
  const names = topics.map(({ name }) => name)
  for (const name of only.filter((each) => !names.includes(each))) {
    const hint = `./scripts/create-topics.mts --dry-run${fileFlag(file)}`
    mistakes.push(error('USAGE', `--only ${name}`, { found: 'no declared topic', expected: names.join(' '), hint }))
  }
  if (mistakes.length > 0) throw configError(byPosition(mistakes))
  const synced = await syncDeclared(settings, topics, options)
  return options.rebalance ? syncPlacement(settings, topics, options, synced) : synced
}

/** Syncs topics, partitions and configuration; replica placement is not considered. */
async function syncDeclared(
  settings: Settings,
  topics: readonly DeclaredTopic[],
  { file, only = [], mode, mayShorten = true, timeoutMs, log, rebalance: moving }: SyncOptions,
): Promise<Synced> {
  const names = topics.map(({ name }) => name)
  const cluster = await openCluster(settings, { timeoutMs, log })
  try {
    const whole = await readTopicPlan(cluster, topics)
    const mistakes = await clusterMistakes(cluster, topics, whole, timeoutMs)
    if (mistakes.length > 0) throw configError(byPosition(mistakes))
    const wanted = narrowPlan(whole, only)
    const plan = mayShorten ? wanted : withoutShortening(wanted)
    const { clusterId, brokers } = cluster.metadata
    const apply = mode === 'apply'
    const applied = apply ? await applyTopicPlan(cluster, plan, { timeoutMs, log, file }) : { done: [], findings: [] }
    const findings = [
      ...applied.findings,
      ...(mode === 'check' ? planFindings(plan, file) : impossibleFindings(plan, file)),
      ...(await unservedFindings(cluster, only.length > 0 ? only : names, Math.min(TAKE_OVER_MS, timeoutMs))),
      ...growthWarnings(plan),
      ...shorteningWarnings(wanted, apply && mayShorten, file),
      ...(moving ? [] : unevenFindings(await cluster.send(metadata), topics, only, file)),
    ]
    return { clusterId, brokers: brokers.length, plan, done: applied.done, findings }
  } finally {
    cluster.close()
  }
}

/** Findings of failed changes, after which no replicas are reassigned. */
const FAILED = ['TOPIC_NOT_CHANGED', 'TOPIC_NOT_PROVEN']

/** Reassigns replicas after {@link syncDeclared}, and then makes the changes that had to wait for that. */
async function syncPlacement(
  settings: Settings,
  declared: readonly DeclaredTopic[],
  { file, only = [], mode, timeoutMs, log, rebalance: bounds }: SyncOptions,
  synced: Synced,
): Promise<Synced> {
  if (synced.findings.some(({ code }) => FAILED.includes(code))) return synced
  const moving = { declared, only, ...bounds, dryRun: mode !== 'apply', timeoutMs, log, file }
  const { rebalance } = await import('./rebalance.mts')
  const { plan: placement, done: moved, findings } = await rebalance(settings, moving)
  // The rebalance changes the replication, and reports what it could not change.
  const others = synced.findings.filter(({ code }) => code !== 'TOPIC_REPLICATION')
  const result = { ...synced, plan: withRebalance(synced.plan), placement, moved, findings: [...others, ...findings] }
  if (mode !== 'apply' || !synced.plan.impossible.some(({ later }) => later)) return result
  const cluster = await openCluster(settings, { timeoutMs, log })
  try {
    const later = laterPlan(synced.plan, await readTopicPlan(cluster, declared))
    const applied = await applyTopicPlan(cluster, later, { timeoutMs, log, file })
    return {
      ...result,
      done: [...result.done, ...applied.done],
      findings: [...result.findings, ...applied.findings],
    }
  } finally {
    cluster.close()
  }
}
