/** The sockets of this machine and their processes: /proc on Linux, lsof elsewhere. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import path from 'node:path'
import { run } from '../common/run.mts'
import type { Holder, Owner } from './owner.mts'

/**
 * The sockets on `ports`, those that listen first. Without root, sockets of other users have no PID on Linux, and are not there at all
 * on macOS.
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
    // There is no tcp6 and udp6 where IPv6 is off.
    return []
  }
}

/** One line of /proc/net/tcp, tcp6, udp or udp6. An IPv4 address that an IPv6 socket holds is given as IPv4. */
export function parseProcSocket(protocol: 'tcp' | 'udp', line: string): Socket {
  const [, local = '', , state, , , , uid = '', , inode = ''] = line.trim().split(/\s+/)
  const [words = '', port = ''] = local.split(':')
  // Words of 4 bytes in the machine's byte order: little endian on every Linux that this stack's images are made for.
  const hex = words.replace(/(..)(..)(..)(..)/g, '$4$3$2$1')
  const ipv4 = /^(?:0{20}ffff)?([\da-f]{8})$/i.exec(hex)?.[1]
  const address = ipv4
    ? Buffer.from(ipv4, 'hex').join('.')
    : new URL(`http://[${hex.replace(/.{4}(?=.)/g, '$&:')}]`).hostname.slice(1, -1)
  // 0A: TCP that listens. 07: UDP without a peer.
  return { protocol, address, port: Number.parseInt(port, 16), listens: state === '0A' || state === '07', uid, inode }
}

/** The oldest process that holds each of the `links` (`socket:[INODE]`), as far as this user may look into processes. */
function pidsOf(links: ReadonlySet<string>): Map<string, number> {
  const pids = new Map<string, number>()
  const readable = <T,>(read: () => T): T | undefined => {
    try {
      return read()
    } catch {
      // EACCES: another user's process. ENOENT: it ended, or closed the file, while it was read.
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
    // Node.js from 23 on gives its first thread, and with it the process, this name.
    const name = thread === 'MainThread' ? path.basename(args[0] ?? thread) : thread
    return { pid, name, command: presentable(args) }
  } catch {
    // It ended while it was read.
    return { pid }
  }
}

function userName(uid: string): string {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.split(':')[2] === uid)
  return line?.split(':')[0] ?? uid
}

/** What the name of an argument or property says whose value is a secret. */
const SECRET = '[\\w.-]*(?:pass|pwd|secret|token|credential|auth|api[-_]?key|access[-_]?key|private[-_]?key)[\\w.-]*'
const SECRET_FLAG = new RegExp(`^--?${SECRET}$`, 'i')
const SECRET_VALUE = new RegExp(`(${SECRET}=|authorization: *)[^]+`, 'i')
/** Inside an argument that is itself a command line, such as a shell's. */
const SECRET_WORD = new RegExp(`(\\s--?${SECRET}|\\bpass\\w*|\\bsecret|\\btoken) +\\S+`, 'gi')
const URL_LOGIN = /(\w:\/\/)[^\s/]*@/g

/** A command line without what looks like a secret, and with the middle of a long one left out: the ends of a JVM's say most. */
export function presentable(args: readonly string[]): string {
  const clean = args
    .map((arg, index) => {
      if (SECRET_FLAG.test(args[index - 1] ?? '') && !arg.startsWith('-')) return '***'
      return arg.replace(URL_LOGIN, '$1***@').replace(SECRET_VALUE, '$1***').replace(SECRET_WORD, '$1 ***')
    })
    .join(' ')
    .trim()
  return clean.length <= 160 ? clean : `${clean.slice(0, 79)}…${clean.slice(-80)}`
}

/** @see https://man.freebsd.org/cgi/man.cgi?query=lsof, section OUTPUT FOR OTHER PROGRAMS */
async function readLsof(ports: ReadonlySet<number>): Promise<Holder[]> {
  const args = ['-nP', `-i:${[...ports].join()}`, '-F', 'pcLPtn']
  // It exits 1 when there is nothing to list, and also when it could not look at some process.
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

/** The output of `lsof -F pcLPtn`, a line per field, its first letter saying which: sockets without a peer, then connections. */
export function parseLsof(output: string): Holder[] {
  const holders: Holder[] = []
  const connections: Holder[] = []
  const fields: Record<string, string> = {}
  for (const line of output.split('\n')) {
    fields[line.charAt(0)] = line.slice(1)
    // The name is the last field of a file: `*:8123`, `[::1]:8123`, `127.0.0.1:8123->127.0.0.1:50000`.
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
