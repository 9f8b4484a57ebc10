/** Reads and edits .env, in the syntax that Docker Compose and the dotenv libraries interpret alike. */
import { chmodSync, chownSync, existsSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parse } from 'dotenv'
import { configError, error, OpsError, reason } from '../common/findings.mts'
import { readTextFile } from '../common/text-file.mts'

/** One assignment of a .env file. */
export interface EnvEntry {
  name: string
  text: string
  /** Whether the value is in single quotes, and so is not interpolated. */
  literal: boolean
  /** File and line, for messages. */
  origin: string
  /** The part of the value that programs parse differently, if any. */
  ambiguity: string | undefined
}

interface Assignment {
  name: string
  line: number
  /** The value as written, including quotes. */
  raw: string
  /** Offset of `raw` in the file. */
  at: number
}

const BLANK = /[^\S\n]*(?:#.*\r*)?(?:\n|$)/y
const HEAD = /[^\S\n]*(?:export[^\S\n]+)?([\w.-]+)[^\S\r\n]*=[^\S\r\n\u2028\u2029]*/y
const QUOTED = /('[^'\\]*(?:\\[\s\S][^'\\]*)*'|"[^"\\]*(?:\\[\s\S][^"\\]*)*")[^\S\n]*(?:#.*\r*)?(?:\n|$)/y
/** Words up to one that begins with "#" after a space. A lazy match before the trailing spaces would backtrack over each of them. */
const UNQUOTED = /((?!['"])\S*(?:[^\S\r\n\u2028\u2029]+(?!(?<= )#)\S+)*)[^\S\n]*(?:(?<= )#.*\r*)?(?:\n|$)/y

/** Returns the assignments in order, and the numbers of lines that are neither an assignment, nor a comment, nor blank. */
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

/** Returns what in a raw value Compose and the dotenv libraries of Node.js and Python parse differently, if anything. */
function ambiguityOf(raw: string): string | undefined {
  if (raw.startsWith("'")) return /\\['\\]/.test(raw) ? 'a backslash' : undefined
  if (/\$[A-Za-z_$]/.test(raw)) return 'a "$" without braces'
  if (raw.startsWith('"')) return raw.includes('\\') ? 'a backslash' : undefined
  if (raw.startsWith('`')) return 'a backtick'
  return raw.includes('#') ? 'a "#"' : undefined
}

/**
 * Returns the assignments of a .env file, in order; if a name occurs twice, the later one takes effect.
 * @throws {OpsError} exit code 2, with a finding for every line that Compose rejects or that not every program reads as an assignment
 */
export function parseEnvFile(content: string, fileName: string): EnvEntry[] {
  const { assignments, unread } = scan(content)
  if (unread.length > 0) {
    throw configError(
      unread.map((line) =>
        error('ENV_SYNTAX', `${fileName}:${line}`, {
          found: 'a line that is neither an assignment nor a comment, or text after a closing quote',
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

/** Returns the name of .env, or of the file given with `--env-file`, as messages show it: relative to `root`, or absolute outside it. */
export function envFileName(env: NodeJS.ProcessEnv, root: string): string {
  if (!env.L2_ENV_FILE) return '.env'
  const shown = path.relative(root, env.L2_ENV_FILE)
  return shown.startsWith('..') ? env.L2_ENV_FILE : shown
}

/**
 * Returns the text of a .env file; undefined if `fileName` is .env or .env.template and does not exist.
 * @throws {OpsError} exit code 2 if the file cannot be read as text, or another file does not exist
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

/** Reads the assignments of a .env file; none if it does not exist. @throws {OpsError} as {@link readEnvText} and {@link parseEnvFile} */
export const readEnvEntries = (root: string, fileName: string): EnvEntry[] =>
  parseEnvFile(readEnvText(root, fileName) ?? '', fileName)

/**
 * Returns `content` with new values for some names. Everything else, including comments and order, is unchanged; missing names are added at
 * the end.
 */
export function setEnvValues(content: string, values: Record<string, string>): string {
  let result = content
  for (const [name, value] of Object.entries(values)) {
    const last = scan(result).assignments.findLast((assignment) => assignment.name === name)
    if (last) {
      const rest = result.slice(last.at + last.raw.length)
      // A comment may directly follow a closing quote, but not an unquoted value.
      result = result.slice(0, last.at) + value + (rest.startsWith('#') ? ' ' : '') + rest
    } else {
      const newline = content.includes('\r\n') ? '\r\n' : '\n'
      result += `${result === '' || result.endsWith('\n') ? '' : newline}${name}=${value}${newline}`
    }
  }
  return result
}

/**
 * Writes values to `fileName` in `root` atomically. Follows a symlink, and keeps the owner and permissions. A missing .env is created from
 * .env.template, readable only by its owner, because it holds passwords.
 * @param values shown in the hint if they cannot be written, unless `options.secret`
 * @param options.secret makes the file readable only by its owner
 * @throws {OpsError} exit code 1 if this user may not write the file; 2 if the existing file cannot be read
 */
export function writeEnvValues(
  root: string,
  values: Record<string, string>,
  fileName = '.env',
  { secret = false } = {},
): void {
  const link = path.resolve(root, fileName)
  const file = existsSync(link) ? realpathSync(link) : link
  const current = readEnvText(root, fileName)
  const source = current === undefined ? path.join(root, '.env.template') : file
  const { uid, gid, mode } = statSync(source)
  const content = setEnvValues(current ?? readEnvText(root, '.env.template') ?? '', values)
  const beside = `${file}.${process.pid}.new`
  try {
    writeFileSync(beside, content, { mode: 0o600, flag: 'wx' })
    if (source === file && !secret) chmodSync(beside, mode)
    // Under sudo the new file would belong to root, and its user could no longer read it.
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
