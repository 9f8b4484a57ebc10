/** The words and flags of ingest.mts. */
import { type OptionSpec, refuseTogether, timeoutFlag, usage, type ValuesOf } from '../command/flags.mts'
import { configError } from '../common/findings.mts'

export const NAME = './scripts/ingest.mts'

export const OPTIONS = {
  'skip-backlog': { type: 'boolean', help: 'with on: skip existing messages in topics that were never read' },
  replay: { type: 'boolean', help: 'with rejects: send them to their topics again, once the cause is fixed' },
  clear: { type: 'boolean', help: 'with rejects: delete them after confirmation' },
  yes: { type: 'boolean', help: 'do not ask for confirmation of --clear or of a target that is not on this machine' },
  timeout: timeoutFlag(30, 'how long to wait for each answer, and until all partitions are read', 600),
} as const satisfies Record<string, OptionSpec>

/** The flags that each word accepts, besides --timeout. */
const ACCEPTED = { on: ['skip-backlog', 'yes'], off: ['yes'], status: [], rejects: ['replay', 'clear', 'yes'] }

export const WORDS = Object.keys(ACCEPTED) as (keyof typeof ACCEPTED)[]

/**
 * Returns the word that a command line gives.
 * @throws {OpsError} exit code 2 for no word, an unknown one, or a flag that it does not accept
 */
export function ingestWord(options: ValuesOf<typeof OPTIONS>, args: readonly string[]): keyof typeof ACCEPTED {
  const word = WORDS.find((each) => each === args[0])
  if (!word || args.length > 1) {
    const found = args.length === 0 ? 'none' : `"${args.join(' ')}"`
    throw configError([usage(NAME, 'argument', found, `one of ${WORDS.join(', ')}`)])
  }
  const accepted: readonly string[] = ACCEPTED[word]
  for (const flag of ['skip-backlog', 'replay', 'clear', 'yes'] as const)
    if (options[flag] && !accepted.includes(flag)) {
      const expected = `with ${WORDS.filter((each) => (ACCEPTED[each] as readonly string[]).includes(flag)).join(', ')}`
      throw configError([usage(NAME, `--${flag}`, `with ${word}`, expected)])
    }
  refuseTogether({ '--replay': options.replay, '--clear': options.clear }, `${NAME} rejects`)
  return word
}
