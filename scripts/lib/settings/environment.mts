/** Looks up variables in the shell, .env and .env.template, as Docker Compose does. */
import { configError, error, type Finding, reason } from '../common/findings.mts'
import { envFileName, readEnvEntries } from './env-file.mts'
import { interpolate } from './interpolate.mts'

export interface Value {
  text: string
  /** `shell`, or file and line. */
  origin: string
  ambiguity?: string | undefined
}

type ValueLookup = (variable: string) => Value | undefined

/**
 * Returns a lookup of the values that Compose uses: from the shell, else from .env or the file given with `--env-file`.
 * @throws {OpsError} exit code 2, with a finding for every invalid line of .env
 */
export function composeLookup(env: NodeJS.ProcessEnv, root: string): ValueLookup {
  const shell: ValueLookup = (variable) => {
    const text = env[variable]
    return text === undefined ? undefined : { text, origin: 'shell' }
  }
  const file = readEnvFile(root, envFileName(env, root), shell)
  return (variable) => shell(variable) ?? file.get(variable)
}

/**
 * Returns a lookup of the effective values: {@link composeLookup}'s, else .env.template's. An empty value counts as not set.
 * @throws {OpsError} exit code 2, with a finding for every invalid line of .env
 */
export function lookupFor(env: NodeJS.ProcessEnv, root: string): ValueLookup {
  const compose = composeLookup(env, root)
  const set: ValueLookup = (variable) => {
    const value = compose(variable)
    // A value that only Compose reads as empty, such as "$word", does not select the default.
    return value?.text || value?.ambiguity ? value : undefined
  }
  const template = readEnvFile(root, '.env.template', set)
  return (variable) => set(variable) ?? template.get(variable)
}

/** Reads the values of a .env file, if it exists. A reference resolves to `outer`'s value, else to that of an earlier line. */
function readEnvFile(root: string, fileName: string, outer: ValueLookup): Map<string, Value> {
  const values = new Map<string, Value>()
  const wrong: Finding[] = []
  for (const { name, text, literal, origin, ambiguity } of readEnvEntries(root, fileName)) {
    try {
      const filled = literal ? text : interpolate(text, (other) => (outer(other) ?? values.get(other))?.text)
      values.set(name, { text: filled, origin, ambiguity })
    } catch (failure) {
      const hint = `edit line ${origin.split(':')[1]} of ${fileName}`
      const [found, expected] = [reason(failure), 'references that can be resolved']
      wrong.push(error('ENV_SYNTAX', `${origin} ${name}`, { found, expected, hint }))
    }
  }
  if (wrong.length > 0) throw configError(wrong)
  return values
}

/** Reports whether a variable holds a password or secret key. */
export const isSecret = (variable: string): boolean => /_(PASSWORD|SECRET_ACCESS_KEY)$/.test(variable)

/** Maximum characters of an invalid value in a message. */
const MAX_SHOWN = 80

/** Returns an invalid value for a message. Hides it if it is secret, contains one of `secrets`, or has an "@", as URLs with a password do. */
export function shownValue(variable: string, text: string, secrets: readonly string[]): string {
  if (isSecret(variable) || text.includes('@') || secrets.some((secret) => text.includes(secret)))
    return 'an invalid value (not shown)'
  return `"${text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text}"`
}
