/** Reading and editing .env, in the part of its dialects that Compose and the clients' libraries read alike. */
import { chmodSync, chownSync, existsSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parse } from 'dotenv'
import { configError, error, OpsError, reason } from '../common/findings.mts'
import { readTextFile } from '../common/text-file.mts'

/** One assignment of a .env file. */
export interface EnvEntry {
  name: string
  text: string
  /** Values in single quotes are not interpolated. */
  literal: boolean
  /** Where it stands, for messages: file and line. */
  origin: string
  /** What makes programs read this value differently, if anything does. */
  ambiguity: string | undefined
}

interface Assignment {
  name: string
  line: number
  /** The value as written, with its quotes, and where it begins. */
  raw: string
  at: number
}

const BLANK = /[^\S\n]*(?:#.*\r*)?(?:\n|$)/y
const HEAD = /[^\S\n]*(?:export[^\S\n]+)?([\w.-]+)[^\S\r\n]*=[^\S\r\n\u2028\u2029]*/y
const QUOTED = /('[^'\\]*(?:\\[\s\S][^'\\]*)*'|"[^"\\]*(?:\\[\s\S][^"\\]*)*")[^\S\n]*(?:#.*\r*)?(?:\n|$)/y
/** Words up to one that begins with "#" after a blank: not "the shortest text before blanks", which backtracks over each of them. */
const UNQUOTED = /((?!['"])\S*(?:[^\S\r\n\u2028\u2029]+(?!(?<= )#)\S+)*)[^\S\n]*(?:(?<= )#.*\r*)?(?:\n|$)/y

/** The assignments of `content` in order, and the numbers of the lines that are neither one nor blank. */
function scan(content: string): { assignments: Assignment[]; unread: number[] } {
  const assignments: Assignment[] = []
  const unread: number[] = []
  const match = (pattern: RegExp, at: number) => {
    pattern.lastIndex = at
    return pattern.exec(content)
  }
  let line = 1
  for (let at = 0; at < content.length; ) {
    const head = match(HEAD, at)
    const valueAt = at + (head?.[0].length ?? 0)
    const value = head && (match(QUOTED, valueAt) ?? match(UNQUOTED, valueAt))
    let end = valueAt + (value?.[0].length ?? 0)
    if (head?.[1] && value) {
      assignments.push({ name: head[1], line, raw: value[1] ?? '', at: valueAt })
    } else {
      const blank = match(BLANK, at)
      if (!blank) unread.push(line)
      end = content.indexOf('\n', at) + 1 || content.length
    }
    line += content.slice(at, end).split('\n').length - 1
    at = end
  }
  return { assignments, unread }
}

/** What in a value as written makes Compose, Node's and Python's dotenv disagree about it, if anything does. */
function ambiguityOf(raw: string): string | undefined {
  if (raw.startsWith("'")) return /\\['\\]/.test(raw) ? 'a backslash' : undefined
  if (/\$[A-Za-z_$]/.test(raw)) return 'a "$" without braces'
  if (raw.startsWith('"')) return raw.includes('\\') ? 'a backslash' : undefined
  if (raw.startsWith('`')) return 'a backtick'
  return raw.includes('#') ? 'a "#"' : undefined
}

/**
 * The assignments of a .env file, in order; of two of one name the later one holds.
 * @throws {OpsError} exit code 2, naming every line that Compose refuses or that not every program reads as an assignment
 */
export function parseEnvFile(content: string, fileName: string): EnvEntry[] {
  const { assignments, unread } = scan(content)
  if (unread.length > 0) {
    throw configError(
      unread.map((line) =>
        error('ENV_SYNTAX', `${fileName}:${line}`, {
          found: 'a line that is no assignment and no comment, or text after a closing quote',
          expected: `NAME=value, NAME='value' or NAME="value"`,
          hint: `edit line ${line} of ${fileName}`,
        }),
      ),
    )
  }
  return assignments.map(({ name, line, raw }) => ({
    name,
    text: parse(`VALUE=${raw}`).VALUE ?? '',
    literal: raw.startsWith("'"),
    origin: `${fileName}:${line}`,
    ambiguity: ambiguityOf(raw),
  }))
}

/** The file in place of .env that `--env-file` names, as messages show it: relative to `root`, or absolute outside it. */
export function envFileName(env: NodeJS.ProcessEnv, root: string): string {
  if (!env.L2_ENV_FILE) return '.env'
  const shown = path.relative(root, env.L2_ENV_FILE)
  return shown.startsWith('..') ? env.L2_ENV_FILE : shown
}

/**
 * The text of a .env file of `root`; undefined when there is no .env.
 * @throws {OpsError} exit code 2, when what is there cannot be read as text, or another file than .env is not there
 */
function readEnvText(root: string, fileName: string): string | undefined {
  try {
    const text = readTextFile(path.resolve(root, fileName))
    if (text === undefined && !['.env', '.env.template'].includes(fileName)) throw new Error('no such file')
    return text
  } catch (failure) {
    const [found, expected] = [reason(failure), 'a text file that this user may read']
    throw configError([error('ENV_UNREADABLE', fileName, { found, expected, hint: `ls -lL ${fileName}` })])
  }
}

/** The assignments of a .env file of `root`; none when there is no .env. @throws {OpsError} as both of {@link readEnvText} and {@link parseEnvFile} */
export const readEnvEntries = (root: string, fileName: string): EnvEntry[] =>
  parseEnvFile(readEnvText(root, fileName) ?? '', fileName)

/**
 * `content` with other values for some names. Everything else, comments and order too, stays as it is; a name that is not
 * there is added at the end.
 */
export function setEnvValues(content: string, values: Record<string, string>): string {
  let result = content
  for (const [name, value] of Object.entries(values)) {
    const last = scan(result).assignments.findLast((assignment) => assignment.name === name)
    if (last) {
      const rest = result.slice(last.at + last.raw.length)
      // A comment may follow a closing quote at once, but not a value without quotes.
      result = result.slice(0, last.at) + value + (rest.startsWith('#') ? ' ' : '') + rest
    } else {
      const newline = content.includes('\r\n') ? '\r\n' : '\n'
      result += `${result === '' || result.endsWith('\n') ? '' : newline}${name}=${value}${newline}`
    }
  }
  return result
}

/**
 * Writes values to the .env file of `root` or another `fileName`; .env is made from .env.template if there is none: whole or not at all, with the
 * owner and permissions it had, and through a symlink. A new one can be read by its owner alone, since it holds passwords.
 * @param values shown in the hint when they cannot be written, unless they are secrets
 * @param options.secret the file is its owner's alone from now on
 * @throws {OpsError} exit code 1, where this user may not write; 2, when what is there cannot be read
 */
export function writeEnvValues(
  root: string,
  values: Record<string, string>,
  fileName = '.env',
  { secret = false } = {},
): void {
  const link = path.resolve(root, fileName)
  const file = existsSync(link) ? realpathSync(link) : link
  const own = readEnvText(root, fileName)
  const source = own === undefined ? path.join(root, '.env.template') : file
  const { uid, gid, mode } = statSync(source)
  const content = setEnvValues(own ?? readEnvText(root, '.env.template') ?? '', values)
  const beside = `${file}.${process.pid}.new`
  try {
    writeFileSync(beside, content, { mode: 0o600, flag: 'wx' })
    if (source === file && !secret) chmodSync(beside, mode)
    // Under sudo the file would be root's, and its user could not read it any more.
    if (process.getuid?.() === 0) chownSync(beside, uid, gid)
    renameSync(beside, file)
  } catch (failure) {
    rmSync(beside, { force: true })
    if (!['EACCES', 'EPERM', 'EROFS'].includes((failure as NodeJS.ErrnoException).code ?? '')) throw failure
    const exports = Object.entries(values).map(([name, value]) => `${name}=${value}`)
    const asOther = `run it as a user who may write to ${path.dirname(file)}`
    const hint = secret ? asOther : `export ${exports.join(' ')}, or ${asOther}`
    const [found, expected] = [reason(failure), 'a folder that this user may write to']
    throw new OpsError(1, [error('ENV_NOT_WRITTEN', fileName, { found, expected, hint })], failure)
  }
}
