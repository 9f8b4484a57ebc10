/** The variables in force by name: the shell's, .env's and .env.template's, as Docker Compose reads them. */
import { configError, error, type Finding, reason } from '../common/findings.mts'
import { envFileName, readEnvEntries } from './env-file.mts'
import { interpolate } from './interpolate.mts'

/** A value in force, and where it comes from: the shell, or file and line. */
export interface Value {
  text: string
  origin: string
  ambiguity?: string | undefined
}

type ValueLookup = (variable: string) => Value | undefined

/**
 * What Compose fills in by name: the shell's value, else that of .env or of the file that takes its place.
 * @throws {OpsError} exit code 2, naming every line of .env that cannot be read
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
 * Every variable in force by name: {@link composeLookup}'s value, else .env.template's; empty counts as not set.
 * @throws {OpsError} exit code 2, naming every line of .env that cannot be read
 */
export function lookupFor(env: NodeJS.ProcessEnv, root: string): ValueLookup {
  const compose = composeLookup(env, root)
  const set: ValueLookup = (variable) => {
    const value = compose(variable)
    // One that Compose alone takes for empty, such as "$word", is no choice of the default.
    return value?.text || value?.ambiguity ? value : undefined
  }
  const template = readEnvFile(root, '.env.template', set)
  return (variable) => set(variable) ?? template.get(variable)
}

/** The values of a .env file, empty if it is not there. A reference means `outer`'s value, else the one of a line above. */
function readEnvFile(root: string, fileName: string, outer: ValueLookup): Map<string, Value> {
  const values = new Map<string, Value>()
  const wrong: Finding[] = []
  for (const { name, text, literal, origin, ambiguity } of readEnvEntries(root, fileName)) {
    try {
      const filled = literal ? text : interpolate(text, (other) => (outer(other) ?? values.get(other))?.text)
      values.set(name, { text: filled, origin, ambiguity })
    } catch (failure) {
      const hint = `edit line ${origin.split(':')[1]} of ${fileName}`
      const [found, expected] = [reason(failure), 'references that can be filled in']
      wrong.push(error('ENV_SYNTAX', `${origin} ${name}`, { found, expected, hint }))
    }
  }
  if (wrong.length > 0) throw configError(wrong)
  return values
}

/** True for the variables of passwords and secret keys. */
export const isSecret = (variable: string): boolean => /_(PASSWORD|SECRET_ACCESS_KEY)$/.test(variable)

/** Characters of a wrong value that a message shows. */
const MAX_SHOWN = 80

/** How a message shows a wrong value: as nothing where it is one of `secrets`, holds one, or has an "@" as URLs with a password have. */
export function shownValue(variable: string, text: string, secrets: readonly string[]): string {
  if (isSecret(variable) || text.includes('@') || secrets.some((secret) => text.includes(secret)))
    return 'another value'
  return `"${text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text}"`
}
