/** What reset-kafka does, from the survey to the proof. */
import { confirmWord, requireTerminal } from '../command/confirm.mts'
import { onInterrupt } from '../command/interrupt.mts'
import { count } from '../common/count.mts'
import { configError, exitCodeOf, type Finding } from '../common/findings.mts'
import { type Cluster, openCluster } from '../kafka/cluster.mts'
import type { Settings } from '../settings/settings.mts'
import { clusterMistakes } from '../topics/cluster-mistakes.mts'
import { type DeclaredTopic, readDeclaredTopics } from '../topics/file.mts'
import { planTopics } from '../topics/plan.mts'
import { readTopics } from '../topics/read.mts'
import { byPosition } from '../topics/yaml-source.mts'
import { clearOffsets, destroyTopics, interrupted, type ResetOptions, recreateTopics } from './apply.mts'
import { activeFindings, guardCluster, selectTopics } from './guard.mts'
import { readGroupsOf, readSurvey, renderSurvey, type Survey } from './survey.mts'
import { proveReset } from './verification.mts'

export interface ResetRequest extends ResetOptions {
  yes: boolean
  force: boolean
  dryRun: boolean
}

export interface ResetOutcome {
  findings: Finding[]
  /** For people: the survey when nothing is to change, else what came of it; absent where the findings say it all. */
  text?: string
  survey: Survey
  /** The answer to the question was No: nothing was changed. */
  declined?: true
}

const WORD = 'reset'

/**
 * Resets topics, after asking. Until the answer nothing is changed, and Ctrl-C means No.
 * @throws {OpsError} exit code 2 for wrong use and mistakes of the file; 3 when the broker does not answer
 */
export async function resetKafka(settings: Settings, request: ResetRequest): Promise<ResetOutcome> {
  const { yes, dryRun, force, only, all, clusterId, file, timeoutMs, log } = request
  if (!yes && !dryRun) requireTerminal('reset-kafka', 'no terminal to ask on', 'add --yes, or --dry-run')
  let uncover = onCtrlC('Declined: nothing was changed')
  const declared = readDeclaredTopics(settings, file)
  const cluster = await openCluster(settings, { timeoutMs, log })
  try {
    await guardCluster(cluster.metadata, settings.KAFKA_BOOTSTRAP_SERVERS, clusterId)
    const present = cluster.metadata.topics.filter(({ internal }) => !internal).map(({ name }) => name)
    const declaredNames = declared.map(({ name }) => name)
    const names = selectTopics({ declared: declaredNames, present, only, all, file })
    const topics = declared.filter(({ name }) => names.includes(name))
    await checkDeclaration(cluster, topics, timeoutMs)
    const survey = await readSurvey(cluster, settings, names, declaredNames, timeoutMs)
    const text = renderSurvey(survey)
    const active = activeFindings(survey.groups, force, request)
    if (dryRun) return { findings: active, text, survey }
    log(text)
    if (exitCodeOf(active) !== 0) return { findings: active, survey }
    if (!yes) {
      const records = count.format(survey.topics.reduce((sum, topic) => sum + topic.records, 0))
      const question = `This destroys ${records} records in ${survey.topics.length} topics, for good.`
      const answer = await confirmWord(`${question} Type "${WORD}" to go on [No]: `, WORD)
      if (!answer) return { findings: [], text: 'Declined: nothing was changed', survey, declined: true }
      // Minutes may have gone by since the survey.
      const since = activeFindings(await readGroupsOf(cluster, settings, names, timeoutMs), force, request)
      if (exitCodeOf(since) !== 0) return { findings: since, survey }
    }
    uncover()
    uncover = onCtrlC('Interrupted: run it again, and it finishes what this run began')
    const findings = await carryOut(cluster, settings, survey, topics, request).catch((failure: unknown) => {
      throw interrupted(failure)
    })
    const bad = exitCodeOf(findings) !== 0
    const forGood = names.filter((name) => !declaredNames.includes(name))
    const lines = [
      topics.length > 0 ? `Reset and proven: ${topics.map(({ name }) => name).join(', ')}` : '',
      forGood.length > 0 ? `Deleted for good: ${forGood.join(', ')}` : '',
    ]
    const outcome = bad ? 'The reset is not complete' : lines.filter(Boolean).join('\n')
    return { findings: [...findings, ...active], text: outcome, survey }
  } finally {
    uncover()
    cluster.close()
  }
}

/** Nothing may be deleted that could not be created again. */
async function checkDeclaration(cluster: Cluster, topics: DeclaredTopic[], timeoutMs: number): Promise<void> {
  const others = (await readTopics(cluster, [])).filter(({ name }) => !topics.some((topic) => topic.name === name))
  const mistakes = await clusterMistakes(cluster, topics, planTopics(topics, others), timeoutMs)
  if (mistakes.length > 0) throw configError(byPosition(mistakes))
}

async function carryOut(
  cluster: Cluster,
  settings: Settings,
  survey: Survey,
  topics: DeclaredTopic[],
  options: ResetRequest,
): Promise<Finding[]> {
  const kept = await destroyTopics(
    cluster,
    survey.topics.map(({ name }) => name),
    options,
  )
  const deleted = topics.filter(({ name }) => !kept.some(({ subject }) => subject === name))
  if (deleted.length === 0) return kept
  const failed = await recreateTopics(cluster, deleted, options)
  const made = deleted.filter(({ name }) => !failed.some(({ subject }) => subject === name))
  const names = made.map(({ name }) => name)
  const uncleared = await clearOffsets(
    cluster,
    await readGroupsOf(cluster, settings, names, options.timeoutMs),
    names,
    options,
  )
  options.log('Proving the result')
  const groups = await readGroupsOf(cluster, settings, names, options.timeoutMs)
  return [
    ...kept,
    ...failed,
    ...uncleared,
    ...(await proveReset(cluster, made, survey.topics, groups, options.timeoutMs, options)),
  ]
}

/** Until the returned function is called, Ctrl-C ends the process with `message` and exit code 1. */
function onCtrlC(message: string): () => void {
  // Waits on the network are pending that nothing can call off; nothing has been printed on stdout that could be lost.
  return onInterrupt(() => process.stderr.write(`${message}\n`, () => process.exit(1)))
}
