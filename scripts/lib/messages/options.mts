/** The flags of tail-topic, and the request they make. */
import { type OptionSpec, refuseTogether, timeoutFlag, usage, type ValuesOf } from '../command/flags.mts'
import { configError, type Finding } from '../common/findings.mts'
import { parseStart, START_FORMS } from '../kafka/start-position.mts'
import { parseWhere } from './filter.mts'
import type { TailRequest } from './tail.mts'

export const NAME = './scripts/tail-topic.mts'

const DEFAULT_LAST = 10

export const OPTIONS = {
  // The default is applied later, because a given value conflicts with --from.
  last: {
    ...{ type: 'number', short: 'n', value: 'N', min: 0, max: 10_000, whole: true },
    help: `the last N messages (default ${DEFAULT_LAST})`,
  },
  from: { type: 'string', value: 'POSITION', help: `all messages from this position on: ${START_FORMS}` },
  follow: { type: 'boolean', short: 'f', help: 'then show new messages as they arrive, until Ctrl-C' },
  key: { type: 'string', value: 'KEY', help: 'only messages with this key' },
  where: {
    type: 'string',
    value: 'FIELD=VALUE',
    help: 'only JSON messages with this value in this field; a.b is field b of object a',
  },
  partition: { type: 'number', value: 'N', min: 0, max: 1e6, whole: true, help: 'only this partition' },
  timeout: timeoutFlag(30, 'how long to wait for the broker, and for each response', 3600),
} as const satisfies Record<string, OptionSpec>

/**
 * Returns the request that the flags and the argument of a command line make.
 * @throws {OpsError} exit code 2 for conflicting flags or invalid values
 */
export function tailRequest(
  options: ValuesOf<typeof OPTIONS>,
  args: readonly string[],
  nowMs: number,
): Omit<TailRequest, 'log'> {
  const { last, follow, key, partition, timeout } = options
  refuseTogether({ '--last': last !== undefined, '--from': options.from !== undefined }, `${NAME} --help`)
  const wrong: Finding[] = []
  const parsed = <T,>(flag: string, text: string | undefined, parse: (text: string) => T, expected: string) => {
    try {
      return text === undefined ? undefined : parse(text)
    } catch (failure) {
      if (!(failure instanceof RangeError)) throw failure
      wrong.push(usage(NAME, flag, `"${text}"`, expected))
      return undefined
    }
  }
  const [topic = ''] = args
  if (args.length !== 1) wrong.push(usage(NAME, 'TOPIC', args.length === 0 ? 'none' : args.join(' '), 'one topic'))
  const from = parsed('--from', options.from, (text) => parseStart(text, nowMs), START_FORMS)
  const where = parsed('--where', options.where, parseWhere, 'FIELD=VALUE, such as symbol=AAPL')
  if (wrong.length > 0) throw configError(wrong)
  return { topic, last: last ?? DEFAULT_LAST, from, follow, partition, key, where, timeoutMs: timeout * 1000 }
}
