/** Implements reset-kafka, from the survey to the verification. */
import { confirmWord, requireTerminal } from '../command/confirm.mts'
import { onInterrupt } from '../command/interrupt.mts'
import { formatCount } from '../common/count.mts'
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
import { verifyReset } from './verification.mts'

export interface ResetRequest extends ResetOptions {
  yes: boolean
  force: boolean
  dryRun: boolean
}

export interface ResetOutcome {
  findings: Finding[]
  /** The survey on a dry run, otherwise the outcome; absent if the findings are the whole outcome. */
  text?: string
  survey: Survey
  /** The user declined: nothing was changed. */
  declined?: true
}

const WORD = 'reset'

/**
 * Resets topics after asking for confirmation. Until then nothing is changed, and Ctrl-C declines.
 * @throws {OpsError} exit code 2 for usage errors and mistakes in the file; 3 when the broker does not answer
 */
export async function resetKafka(settings: Settings, request: ResetRequest): Promise<ResetOutcome> {
  const { yes, dryRun, force, only, all, clusterId, file, timeoutMs, log } = request
  if (!yes && !dryRun) requireTerminal('reset-kafka', 'no terminal to ask for confirmation', 'add --yes, or --dry-run')
  let release = onCtrlC('Declined: nothing was changed')
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
      const records = formatCount(survey.topics.reduce((sum, topic) => sum + topic.records, 0))
      const question = `This permanently deletes ${records} records in ${survey.topics.length} topics.`
      const answer = await confirmWord(`${question} Type "${WORD}" to continue [No]: `, WORD)
      if (!answer) return { findings: [], text: 'Declined: nothing was changed', survey, declined: true }
      // Minutes may have passed since the survey.
      const since = activeFindings(await readGroupsOf(cluster, settings, names, timeoutMs), force, request)
      if (exitCodeOf(since) !== 0) return { findings: since, survey }
    }
    release()
    release = onCtrlC('Interrupted: run it again to complete the reset')
    const findings = await carryOut(cluster, settings, survey, topics, request).catch((failure: unknown) => {
      throw interrupted(failure)
    })
    const bad = exitCodeOf(findings) !== 0
    const undeclared = names.filter((name) => !declaredNames.includes(name))
    const lines = [
      topics.length > 0 ? `Reset and verified: ${topics.map(({ name }) => name).join(', ')}` : '',
      undeclared.length > 0 ? `Permanently deleted: ${undeclared.join(', ')}` : '',
    ]
    const outcome = bad ? 'The reset is incomplete' : lines.filter(Boolean).join('\n')
    return { findings: [...findings, ...active], text: outcome, survey }
  } finally {
    release()
    cluster.close()
  }
}

/** Checks before anything is deleted that the declared topics can be created. */
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
  const present = survey.topics.map(({ name }) => name)
  const undeleted = await destroyTopics(cluster, present, options)
  const deleted = topics.filter(({ name }) => !undeleted.some(({ subject }) => subject === name))
  if (deleted.length === 0) return undeleted
  const failed = await recreateTopics(cluster, deleted, options)
  const recreated = deleted.filter(({ name }) => !failed.some(({ subject }) => subject === name))
  const names = recreated.map(({ name }) => name)
  const readGroups = () => readGroupsOf(cluster, settings, names, options.timeoutMs)
  const uncleared = await clearOffsets(cluster, await readGroups(), names, options)
  options.log('Verifying the result')
  const unverified = await verifyReset(
    cluster,
    recreated,
    survey.topics,
    await readGroups(),
    options.timeoutMs,
    options,
  )
  return [...undeleted, ...failed, ...uncleared, ...unverified]
}

/** Until the returned function is called, Ctrl-C ends the process with `message` and exit code 1. */
function onCtrlC(message: string): () => void {
  // Pending network requests cannot be canceled, so exit the process; no output on stdout can be lost.
  return onInterrupt(() => process.stderr.write(`${message}\n`, () => process.exit(1)))
}
