/** Restricts a process to its own files with the kernel's Landlock, because ClickHouse's library does not check paths in queries. */
import { closeSync, constants, existsSync, openSync, readFileSync, statSync } from 'node:fs'
import { type Finding, warning } from '../../common/findings.mts'

/** Calls a function of the C library and returns its result, an integer. */
type Libc = (name: string, ...parameters: (number | string | Buffer)[]) => number

/** System call numbers, the same on every architecture. @see https://docs.kernel.org/userspace-api/landlock.html */
const [CREATE_RULESET, ADD_RULE, RESTRICT_SELF] = [444, 445, 446]
const PR_SET_NO_NEW_PRIVS = 38
const RULE_PATH_BENEATH = 1
/** Bits of LANDLOCK_ACCESS_FS: execute 1, read a file 4, read a folder 8. */
const READ = 1 | 4 | 8
/** Everything except creating devices and FIFOs (bits 6, 10 and 11), including renames between folders (13) and truncation (14, since version 3). */
const WRITE = 0x7fff & ~0xc40
/** The access bits that apply to files. */
const FILE_ACCESS = 1 | 2 | 4 | (1 << 14)

/**
 * Restricts this thread, and all processes and threads that it starts from now on, to the files beneath these paths. Files that are already
 * open stay open.
 * @returns false if the kernel has no Landlock of version 2 or newer (before Linux 5.19, or disabled); then nothing changes
 * @throws {Error} if the kernel rejects a rule
 */
export function confine(libc: Libc, paths: { read: string[]; write: string[] }): boolean {
  const version = libc('syscall', CREATE_RULESET, 0, 0, 1)
  // Version 1 forbids all renames between folders.
  if (version < 2) return false
  const handled = version < 3 ? 0x3fff : 0x7fff
  const attributes = Buffer.alloc(8)
  attributes.writeBigUInt64LE(BigInt(handled))
  const ruleset = libc('syscall', CREATE_RULESET, attributes, attributes.length, 0)
  if (ruleset < 0) throw new Error('Cannot confine ClickHouse: Landlock rejects the ruleset')
  const allow = (file: string, access: number) => {
    if (!existsSync(file)) return
    const fd = openSync(file, constants.O_RDONLY | 0x200000 /* O_PATH */)
    const rule = Buffer.alloc(12)
    rule.writeBigUInt64LE(BigInt(handled & access & (statSync(file).isDirectory() ? access : FILE_ACCESS)))
    rule.writeInt32LE(fd, 8)
    const result = libc('syscall', ADD_RULE, ruleset, RULE_PATH_BENEATH, rule, 0)
    closeSync(fd)
    if (result !== 0) throw new Error(`Cannot give ClickHouse access to "${file}": Landlock rejects the rule`)
  }
  for (const file of paths.read) allow(file, READ)
  for (const file of paths.write) allow(file, WRITE)
  libc('prctl', PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
  if (libc('syscall', RESTRICT_SELF, ruleset, 0) !== 0)
    throw new Error('Cannot confine ClickHouse: Landlock rejects it')
  closeSync(ruleset)
  return true
}

/** Restarts this process with the same command line, because threads that were started before {@link confine} are not restricted. */
export function restart(libc: Libc): never {
  const commandLine = readFileSync('/proc/self/cmdline', 'utf8').split('\0').slice(0, -1)
  // Node.js marks its standard streams as close-on-exec; F_SETFD clears that.
  for (const stream of [0, 1, 2]) libc('fcntl', stream, 2, 0)
  libc('execl', process.execPath, ...commandLine, 0)
  throw new Error(`Cannot restart "${process.execPath}"`)
}

/** Warns if the running ClickHouse should be confined but is not. Silent if this user cannot check it. */
export function confinementFindings(running: readonly { name: string; pid: number }[]): Finding[] {
  const pid = running.find(({ name }) => name === 'clickhouse')?.pid
  if (pid === undefined || !isUnconfined(pid)) return []
  const found = 'this kernel has no Landlock, so queries can read every file of the account that runs ClickHouse'
  const hint = 'change the default CLICKHOUSE_PASSWORD in .env, or use Linux 5.19 or newer, or Docker'
  return [warning('EMBEDDED_UNCONFINED', 'clickhouse files', { found, hint })]
}

/** Reports whether the process still has the environment of its launch: a confined one has restarted itself since. */
function isUnconfined(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes('L2_CLICKHOUSE_FILES=own')
  } catch {
    // The process exited, or belongs to another user.
    return false
  }
}
