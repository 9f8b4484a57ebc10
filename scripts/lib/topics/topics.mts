/** What create-topics does, from the file to the proof; `npm start` does the same in its own process. */
import { configError, error } from '../common/findings.mts'
import { openCluster } from '../kafka/cluster.mts'
import { metadata } from '../kafka/cluster-requests.mts'
import { TAKE_OVER_MS, unservedFindings } from '../kafka/offsets.mts'
import type { Settings } from '../settings/settings.mts'
import { applyTopicPlan } from './apply.mts'
import { clusterMistakes } from './cluster-mistakes.mts'
import { type DeclaredTopic, readTopicsFile } from './file.mts'
import { fileFlag } from './hint.mts'
import { unevenFindings } from './imbalance.mts'
import { laterPlan, narrowPlan, withoutShortening, withRebalance } from './plan.mts'
import { readTopicPlan } from './read.mts'
import { rebalance } from './rebalance.mts'
import { growthWarnings, impossibleFindings, planFindings, type Synced, shorteningWarnings } from './report.mts'
import { byPosition } from './yaml-source.mts'

export interface SyncOptions {
  /** Path of the declaration; kafka/topics.yml unless given. */
  file?: string | undefined
  /** Only these topics; all for none. */
  only?: readonly string[]
  /** `plan` changes nothing and finds nothing wrong in what it would change; `check` changes nothing and reports it. */
  mode: 'apply' | 'plan' | 'check'
  /** Whether changes may be made that make the broker delete records, such as a shorter retention; true unless given. */
  mayShorten?: boolean
  /** Moves copies between brokers too, each of which may copy so many bytes a second, if a bound is given. */
  rebalance?: { bytesPerSecond?: number | undefined } | undefined
  /** To wait for the broker, and again for the changes to take effect. */
  timeoutMs: number
  log: (line: string) => void
}

/**
 * Makes the cluster's topics what the file declares, or says what that would take.
 * @throws {OpsError} exit code 2 with every mistake of the file, then of what the cluster finds wrong in it; 3 when the broker does not answer
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
  return options.rebalance ? withMoves(settings, topics, options, synced) : synced
}

/** Topics, partitions and configuration, where copies lie as they may. */
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
    const result = { clusterId, brokers: brokers.length, plan, done: [] as string[] }
    const served = () => unservedFindings(cluster, only.length > 0 ? only : names, Math.min(TAKE_OVER_MS, timeoutMs))
    const uneven = async () => (moving ? [] : unevenFindings(await cluster.send(metadata), topics, only, file))
    const further = [...growthWarnings(plan), ...shorteningWarnings(wanted, mode === 'apply' && mayShorten, file)]
    const rest = async () => [...(await served()), ...further, ...(await uneven())]
    if (mode === 'check') return { ...result, findings: [...planFindings(plan, file), ...(await rest())] }
    if (mode === 'plan') return { ...result, findings: [...impossibleFindings(plan, file), ...(await rest())] }
    const { done, findings } = await applyTopicPlan(cluster, plan, { timeoutMs, log, file })
    return {
      ...result,
      done,
      findings: [...findings, ...impossibleFindings(plan, file), ...(await rest())],
    }
  } finally {
    cluster.close()
  }
}

/** What keeps copies from being moved: what was to come before it did not. */
const BEFORE = ['TOPIC_NOT_CHANGED', 'TOPIC_NOT_PROVEN']

/** Moves copies after that, and then changes what waited for it. */
async function withMoves(
  settings: Settings,
  declared: readonly DeclaredTopic[],
  { file, only = [], mode, timeoutMs, log, rebalance: bounds }: SyncOptions,
  synced: Synced,
): Promise<Synced> {
  if (synced.findings.some(({ code }) => BEFORE.includes(code))) return synced
  const moving = { declared, only, ...bounds, dryRun: mode !== 'apply', timeoutMs, log, file }
  const { plan: placement, done: moved, findings } = await rebalance(settings, moving)
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
