/** Keeps a process to its own files, by the kernel's Landlock: ClickHouse's library checks no path that a query names. */
import { closeSync, constants, existsSync, openSync, readFileSync, statSync } from 'node:fs'
import { type Finding, warning } from '../../common/findings.mts'

/** What a function of the C library returns, an integer. */
type Libc = (name: string, ...parameters: (number | string | Buffer)[]) => number

/** System calls of every architecture. @see https://docs.kernel.org/userspace-api/landlock.html */
const [CREATE_RULESET, ADD_RULE, RESTRICT_SELF] = [444, 445, 446]
const PR_SET_NO_NEW_PRIVS = 38
const RULE_PATH_BENEATH = 1
/** Bits of LANDLOCK_ACCESS_FS: execute 1, read a file 4, read a folder 8. */
const READ = 1 | 4 | 8
/** All but the making of devices (bits 6, 10 and 11), with renaming between folders (13) and truncating (14, since version 3); what of it is for a file. */
const WRITE = 0x7fff & ~0xc40
const OF_FILES = 1 | 2 | 4 | (1 << 14)

/**
 * Leaves this thread, and every process and thread that it starts from now on, only the files beneath these paths, to read or to
 * write. Those that are open stay so.
 * @returns false on a kernel without Landlock of version 2 or newer (before Linux 5.19, or switched off), where nothing changes
 * @throws {Error} when the kernel refuses a rule
 */
export function confine(libc: Libc, paths: { read: string[]; write: string[] }): boolean {
  const version = libc('syscall', CREATE_RULESET, 0, 0, 1)
  // The first version forbids every renaming between folders.
  if (version < 2) return false
  const handled = version < 3 ? 0x3fff : 0x7fff
  const attributes = Buffer.alloc(8)
  attributes.writeBigUInt64LE(BigInt(handled))
  const ruleset = libc('syscall', CREATE_RULESET, attributes, attributes.length, 0)
  if (ruleset < 0) throw new Error('Cannot confine ClickHouse: Landlock refuses')
  const allow = (file: string, access: number) => {
    if (!existsSync(file)) return
    const fd = openSync(file, constants.O_RDONLY | 0x200000 /* O_PATH */)
    const rule = Buffer.alloc(12)
    rule.writeBigUInt64LE(BigInt(handled & access & (statSync(file).isDirectory() ? access : OF_FILES)))
    rule.writeInt32LE(fd, 8)
    const result = libc('syscall', ADD_RULE, ruleset, RULE_PATH_BENEATH, rule, 0)
    closeSync(fd)
    if (result !== 0) throw new Error(`Cannot allow "${file}" to ClickHouse: Landlock refuses the rule`)
  }
  for (const file of paths.read) allow(file, READ)
  for (const file of paths.write) allow(file, WRITE)
  libc('prctl', PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
  if (libc('syscall', RESTRICT_SELF, ruleset, 0) !== 0) throw new Error('Cannot confine ClickHouse: Landlock refuses')
  closeSync(ruleset)
  return true
}

/** Starts this process again with its command line: threads that began before {@link confine} have kept their rights. */
export function startAgain(libc: Libc): never {
  const commandLine = readFileSync('/proc/self/cmdline', 'utf8').split('\0').slice(0, -1)
  // Node.js has its standard streams close when another program takes its place (F_SETFD).
  for (const stream of [0, 1, 2]) libc('fcntl', stream, 2, 0)
  libc('execl', process.execPath, ...commandLine, 0)
  throw new Error(`Cannot run "${process.execPath}" again`)
}

/** A warning where the running ClickHouse should be confined and is not; none where this user may not look. */
export function confinementFindings(running: readonly { name: string; pid: number }[]): Finding[] {
  const pid = running.find(({ name }) => name === 'clickhouse')?.pid
  if (pid === undefined || !isUnconfined(pid)) return []
  const found = 'this kernel has no Landlock, so queries can read every file of the account that runs ClickHouse'
  const hint = 'set a CLICKHOUSE_PASSWORD of your own in .env, or use Linux 5.19 or newer, or Docker'
  return [warning('EMBEDDED_UNCONFINED', 'clickhouse files', { found, hint })]
}

/** Whether the process still has the environment that it was launched with: a confined one has started itself again since. */
function isUnconfined(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes('L2_CLICKHOUSE_FILES=own')
  } catch {
    // It has ended, or belongs to another user.
    return false
  }
}
