/** The flags of consumer-groups, and the request they make. */
import { type OptionSpec, refuseTogether, timeoutFlag, usage, type ValuesOf } from '../command/flags.mts'
import { configError, type Finding } from '../common/findings.mts'
import { parseStart, START_FORMS } from '../kafka/start-position.mts'
import type { ResetRequest } from './reset.mts'

export const NAME = './scripts/consumer-groups.mts'

const DEFAULT_INTERVAL_S = 2

export const OPTIONS = {
  group: { type: 'string', value: 'GROUP', help: 'only this group, by partition; with reset: the group to reset' },
  watch: { type: 'boolean', help: 'refresh every --interval seconds until Ctrl-C' },
  // The default is applied later, because a given value conflicts with reset.
  interval: {
    ...{ type: 'number', value: 'SECONDS', min: 0.1, max: 3600 },
    help: `interval for measuring rates; increase it for consumers that commit rarely (default ${DEFAULT_INTERVAL_S})`,
  },
  to: { type: 'string', value: 'POSITION', help: `with reset: ${START_FORMS}` },
  topic: { type: 'list', value: 'TOPIC', help: 'with reset: only these topics' },
  'dry-run': { type: 'boolean', help: 'with reset: show what would move, and change nothing' },
  yes: { type: 'boolean', help: 'with reset: do not ask for confirmation; required without a terminal' },
  timeout: timeoutFlag(30, 'how long to wait for the broker, and for each response', 3600),
} as const satisfies Record<string, OptionSpec>

export type GroupsRequest =
  | { kind: 'show'; group: string | undefined; watch: boolean; intervalMs: number; timeoutMs: number }
  | ({ kind: 'reset' } & Omit<ResetRequest, 'log'>)

/**
 * Returns the request that the flags and the argument of a command line make.
 * @throws {OpsError} exit code 2 for conflicting or missing flags, or invalid values
 */
export function groupsRequest(
  options: ValuesOf<typeof OPTIONS>,
  args: readonly string[],
  { json, nowMs }: { json: boolean; nowMs: number },
): GroupsRequest {
  const { group, watch, interval, to, topic, yes, timeout, 'dry-run': dryRun } = options
  const wrong: Finding[] = []
  const report = (subject: string, found: string, expected: string) => wrong.push(usage(NAME, subject, found, expected))
  const isReset = args[0] === 'reset'
  if (args.length > 1 || (args.length === 1 && !isReset)) report('argument', `"${args.join(' ')}"`, 'reset, or none')
  const showing = { '--watch': watch, '--interval': interval !== undefined }
  const resetting = { '--to': to !== undefined, '--topic': topic.length > 0, '--dry-run': dryRun, '--yes': yes }
  for (const [flag, given] of Object.entries(isReset ? showing : resetting))
    if (given) report(flag, isReset ? 'with reset' : 'without reset', isReset ? 'without it' : 'with it')
  if (!isReset) {
    if (watch) refuseTogether({ '--watch': watch, '--json': json }, `${NAME} --watch`)
    if (wrong.length > 0) throw configError(wrong)
    const intervalMs = (interval ?? DEFAULT_INTERVAL_S) * 1000
    return { kind: 'show', group, watch, intervalMs, timeoutMs: timeout * 1000 }
  }
  if (group === undefined) report('--group', 'none', 'the group to reset')
  const start = to === undefined ? undefined : startOf(to, nowMs)
  if (start === undefined) report('--to', to === undefined ? 'none' : `"${to}"`, START_FORMS)
  if (group === undefined || to === undefined || start === undefined || wrong.length > 0) throw configError(wrong)
  return { kind: 'reset', group, to: start, toText: to, topics: topic, yes, dryRun, timeoutMs: timeout * 1000 }
}

function startOf(text: string, nowMs: number) {
  try {
    return parseStart(text, nowMs)
  } catch (failure) {
    if (failure instanceof RangeError) return undefined
    throw failure
  }
}
