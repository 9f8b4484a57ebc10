/** What create-topics does, from the file to the proof; `npm start` does the same in its own process. */
import { configError, error, type Finding } from '../common/findings.mts'
import { openCluster } from '../kafka/cluster.mts'
import { TAKE_OVER_MS, unservedFindings } from '../kafka/serving.mts'
import type { Settings } from '../settings/settings.mts'
import { applyTopicPlan } from './apply.mts'
import { readTopicsFile } from './file.mts'
import { fileFlag } from './hint.mts'
import { clusterMistakes } from './mistakes.mts'
import { narrowPlan, type TopicPlan, withoutShortening } from './plan.mts'
import { readTopicPlan } from './read.mts'
import { growthWarnings, impossibleFindings, planFindings, shorteningWarnings } from './report.mts'
import { byPosition } from './yaml-source.mts'

export interface SyncOptions {
  /** Path of the declaration; kafka/topics.yml unless given. */
  file?: string
  /** Only these topics; all for none. */
  only?: readonly string[]
  /** `plan` changes nothing and finds nothing wrong in what it would change; `check` changes nothing and reports it. */
  mode: 'apply' | 'plan' | 'check'
  /** Whether changes may be made that make the broker delete records, such as a shorter retention; true unless given. */
  mayShorten?: boolean
  /** To wait for the broker, and again for the changes to take effect. */
  timeoutMs: number
  log: (line: string) => void
}

export interface Synced {
  clusterId: string
  brokers: number
  plan: TopicPlan
  /** Changes made and proven, a line each. */
  done: string[]
  findings: Finding[]
}

/**
 * Makes the cluster's topics what the file declares, or says what that would take.
 * @throws {OpsError} exit code 2 with every mistake of the file, then of what the cluster finds wrong in it; 3 when the broker does not answer
 */
export async function syncTopics(settings: Settings, options: SyncOptions): Promise<Synced> {
  const { file, only = [], mode, mayShorten = true, timeoutMs, log } = options
  const { topics, mistakes } = readTopicsFile(settings, file)
  const names = topics.map(({ name }) => name)
  for (const name of only.filter((each) => !names.includes(each))) {
    const hint = `./scripts/create-topics.mts --dry-run${fileFlag(file)}`
    mistakes.push(error('USAGE', `--only ${name}`, { found: 'no declared topic', expected: names.join(' '), hint }))
  }
  if (mistakes.length > 0) throw configError(byPosition(mistakes))
  const cluster = await openCluster(settings, { timeoutMs, log })
  try {
    const whole = await readTopicPlan(cluster, topics)
    const further = await clusterMistakes(cluster, topics, whole, timeoutMs)
    if (further.length > 0) throw configError(byPosition(further))
    const wanted = narrowPlan(whole, only)
    const plan = mayShorten ? wanted : withoutShortening(wanted)
    const { clusterId, brokers } = cluster.metadata
    const result = { clusterId, brokers: brokers.length, plan, done: [] as string[] }
    const served = () => unservedFindings(cluster, only.length > 0 ? only : names, Math.min(TAKE_OVER_MS, timeoutMs))
    const warnings = [...growthWarnings(plan), ...shorteningWarnings(wanted, mode === 'apply' && mayShorten, file)]
    if (mode === 'check')
      return { ...result, findings: [...planFindings(plan, file), ...(await served()), ...warnings] }
    if (mode === 'plan')
      return { ...result, findings: [...impossibleFindings(plan, file), ...(await served()), ...warnings] }
    const { done, findings } = await applyTopicPlan(cluster, plan, { timeoutMs, log, file })
    return {
      ...result,
      done,
      findings: [...findings, ...impossibleFindings(plan, file), ...(await served()), ...warnings],
    }
  } finally {
    cluster.close()
  }
}
