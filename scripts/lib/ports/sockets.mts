/** Reads the sockets of this machine and their processes: from /proc on Linux, with lsof elsewhere. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import path from 'node:path'
import { run } from '../common/run.mts'
import type { Holder, Owner } from './owner.mts'

/**
 * Returns the sockets on `ports`, listening ones first. Without root, sockets of other users have no PID on Linux and are missing on
 * macOS.
 */
export async function readSockets(ports: ReadonlySet<number>, platform = process.platform): Promise<Holder[]> {
  return platform === 'linux' ? readProc(ports) : readLsof(ports)
}

interface Socket extends Omit<Holder, 'owner'> {
  listens: boolean
  uid: string
  inode: string
}

/** @see https://www.kernel.org/doc/html/latest/networking/proc_net_tcp.html */
function readProc(ports: ReadonlySet<number>): Holder[] {
  const files = { tcp: 'tcp', tcp6: 'tcp', udp: 'udp', udp6: 'udp' } as const
  const sockets = Object.entries(files)
    .flatMap(([file, protocol]) => procLines(file).map((line) => parseProcSocket(protocol, line)))
    .filter(({ port }) => ports.has(port))
    .sort((a, b) => Number(b.listens) - Number(a.listens))
  const pids = pidsOf(new Set(sockets.map(({ inode }) => `socket:[${inode}]`)))
  return sockets.map(({ protocol, address, port, uid, inode }) => {
    const pid = pids.get(`socket:[${inode}]`)
    const owner: Owner = { kind: 'process', user: userName(uid), ...(pid === undefined ? {} : describeProcess(pid)) }
    return { protocol, address, port, owner }
  })
}

function procLines(file: string): string[] {
  try {
    return readFileSync(`/proc/net/${file}`, 'utf8').trim().split('\n').slice(1)
  } catch {
    // tcp6 and udp6 do not exist if IPv6 is disabled.
    return []
  }
}

/** Parses one line of /proc/net/tcp, tcp6, udp or udp6. Returns an IPv4-mapped IPv6 address as IPv4. */
export function parseProcSocket(protocol: 'tcp' | 'udp', line: string): Socket {
  const [, local = '', , state, , , , uid = '', , inode = ''] = line.trim().split(/\s+/)
  const [words = '', port = ''] = local.split(':')
  // 4-byte words in the machine's byte order, which is little-endian on every platform that this stack's images support.
  const hex = words.replace(/(..)(..)(..)(..)/g, '$4$3$2$1')
  const ipv4 = /^(?:0{20}ffff)?([\da-f]{8})$/i.exec(hex)?.[1]
  const address = ipv4
    ? Buffer.from(ipv4, 'hex').join('.')
    : new URL(`http://[${hex.replace(/.{4}(?=.)/g, '$&:')}]`).hostname.slice(1, -1)
  // 0A: a listening TCP socket. 07: an unconnected UDP socket.
  return { protocol, address, port: Number.parseInt(port, 16), listens: state === '0A' || state === '07', uid, inode }
}

/** Returns the first process that holds each of the `links` (`socket:[INODE]`), among the processes that this user may inspect. */
function pidsOf(links: ReadonlySet<string>): Map<string, number> {
  const pids = new Map<string, number>()
  const readable = <T,>(read: () => T): T | undefined => {
    try {
      return read()
    } catch {
      // EACCES: another user's process. ENOENT: the process exited or closed the file in the meantime.
      return undefined
    }
  }
  for (const pid of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    for (const fd of readable(() => readdirSync(`/proc/${pid}/fd`)) ?? []) {
      const link = readable(() => readlinkSync(`/proc/${pid}/fd/${fd}`))
      if (link && links.has(link) && !pids.has(link)) pids.set(link, Number(pid))
    }
  }
  return pids
}

function describeProcess(pid: number): Pick<Owner, 'pid' | 'name' | 'command'> {
  try {
    const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    const thread = readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
    // Node.js 23 and newer give their main thread, and thereby the process, this name.
    const name = thread === 'MainThread' ? path.basename(args[0] ?? thread) : thread
    return { pid, name, command: presentable(args) }
  } catch {
    // The process exited in the meantime.
    return { pid }
  }
}

function userName(uid: string): string {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.split(':')[2] === uid)
  return line?.split(':')[0] ?? uid
}

/** Matches names of arguments and properties whose value is a secret. */
const SECRET = '[\\w.-]*(?:pass|pwd|secret|token|credential|auth|api[-_]?key|access[-_]?key|private[-_]?key)[\\w.-]*'
const SECRET_FLAG = new RegExp(`^--?${SECRET}$`, 'i')
const SECRET_VALUE = new RegExp(`(${SECRET}=|authorization: *)[^]+`, 'i')
/** Matches secrets inside an argument that is itself a command line, such as that of `sh -c`. */
const SECRET_WORD = new RegExp(`(\\s--?${SECRET}|\\bpass\\w*|\\bsecret|\\btoken) +\\S+`, 'gi')
const URL_CREDENTIALS = /(\w:\/\/)[^\s/]*@/g

/** Returns a command line with secrets masked. Shortens a long one in the middle: the two ends of a JVM's say the most. */
export function presentable(args: readonly string[]): string {
  const clean = args
    .map((arg, index) => {
      if (SECRET_FLAG.test(args[index - 1] ?? '') && !arg.startsWith('-')) return '***'
      return arg.replace(URL_CREDENTIALS, '$1***@').replace(SECRET_VALUE, '$1***').replace(SECRET_WORD, '$1 ***')
    })
    .join(' ')
    .trim()
  return clean.length <= 160 ? clean : `${clean.slice(0, 79)}…${clean.slice(-80)}`
}

/** @see https://man.freebsd.org/cgi/man.cgi?query=lsof, section OUTPUT FOR OTHER PROGRAMS */
async function readLsof(ports: ReadonlySet<number>): Promise<Holder[]> {
  const args = ['-nP', `-i:${[...ports].join()}`, '-F', 'pcLPtn']
  // lsof exits with 1 if it found nothing, and also if it could not inspect some process.
  const { stdout } = await run(['lsof', ...args], { timeoutMs: 10_000 })
  const found = parseLsof(stdout).filter(({ port }) => ports.has(port))
  const pids = found.map(({ owner }) => owner.pid)
  if (pids.length === 0) return []
  const ps = await run(['ps', '-o', 'pid=,command=', '-p', pids.join()], { timeoutMs: 10_000 })
  const commands = new Map(
    ps.stdout.split('\n').map((line) => [Number.parseInt(line, 10), line.replace(/^\s*\d+ /, '')]),
  )
  return found.map((holder) => {
    const command = commands.get(holder.owner.pid ?? 0)
    return command ? { ...holder, owner: { ...holder.owner, command: presentable(command.split(' ')) } } : holder
  })
}

/** Parses `lsof -F pcLPtn`: one field per line, identified by its first letter. Returns sockets without a peer first, then connections. */
export function parseLsof(output: string): Holder[] {
  const holders: Holder[] = []
  const connections: Holder[] = []
  const fields: Record<string, string> = {}
  for (const line of output.split('\n')) {
    fields[line.charAt(0)] = line.slice(1)
    // The name is the last field of a file, such as `*:8123`, `[::1]:8123`, `127.0.0.1:8123->127.0.0.1:50000`.
    const [, host = '', port, peer] = /^n\[?(?:::ffff:)?([^\]>]*?)\]?:(\d+)(->.*)?$/.exec(line) ?? []
    if (!port) continue
    const list = peer ? connections : holders
    list.push({
      protocol: fields.P === 'UDP' ? 'udp' : 'tcp',
      address: host !== '*' ? host : fields.t === 'IPv6' ? '::' : '0.0.0.0',
      port: Number(port),
      owner: { kind: 'process', pid: Number(fields.p), name: fields.c ?? '', user: fields.L ?? '' },
    })
  }
  return [...holders, ...connections]
}
