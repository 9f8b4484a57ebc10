/** Connections for the scripts' own Kafka requests, with deadlines. Failures become findings that name the cause. */
import { cannotTell, configError, type Finding, type OpsError, unknown } from '../common/findings.mts'
import { networkCause, splitAddress } from '../common/tcp.mts'
import { waitUntil } from '../common/wait.mts'
import { type Metadata, metadata } from './cluster-requests.mts'
import { describeLogDirs } from './log-dirs.mts'
import type { Servers } from './options.mts'
import { missingPermission, type Permission, PermissionDenied } from './permissions.mts'
import { connectWire, type Request, type Wire } from './transport.mts'

/** The hint for a broker whose address is right but which has a fault. */
export const HEALTH_CHECK = './scripts/health-check.mts'
const NO_CONTROLLER = 'no controller is elected yet'
const NO_TOPICS = 'the broker does not know its topics yet'

/** Returns the hint for comma-separated `addresses` of which none answers, given the cause `found`. */
function hintFor(addresses: string, found: string): string {
  if (found.includes('connection refused')) return 'npm start'
  const local = addresses.split(',').every((address) => /^(localhost|127\.[\d.]+|\[::1\]):/.test(address))
  // Only a Kafka broker gives the first two answers. On this machine, only a process that hangs or is suspended times out.
  const isRightAddress =
    found.includes(NO_CONTROLLER) || found.includes(NO_TOPICS) || (local && found.includes('timed out'))
  return isRightAddress ? HEALTH_CHECK : 'edit .env: KAFKA_BOOTSTRAP_SERVERS=…'
}

/** Returns the {@link OpsError} for a broker that does not answer: exit code 3. */
export function unreachable(address: string, failure: unknown, timeoutMs: number, hint?: string): OpsError {
  const cause = networkCause(failure)
  const answered = refusal(failure)
  const found = answered
    ? `${address} refused requests for ${timeoutMs / 1000} s (${answered})`
    : `no answer from ${address} within ${timeoutMs / 1000} s (${cause})`
  const wayOut = hint ?? (answered ? `${HEALTH_CHECK} --only kafka` : hintFor(address, cause))
  return cannotTell(unknown('KAFKA_UNREACHABLE', 'kafka', { found, hint: wayOut }), failure)
}

/** Returns the error that a broker answered with, in kafkajs's words; undefined if the failure is not a broker's answer. */
function refusal(failure: unknown): string | undefined {
  for (let at = failure; at instanceof Error; at = at.cause) if (at.name === 'KafkaJSProtocolError') return at.message
  return undefined
}

/** A cluster with an elected controller. Requests throw an {@link OpsError} with exit code 3 if no response arrives in time. */
export interface Cluster {
  /** As it was when the cluster was opened. */
  metadata: Metadata
  /** Sends a request to the server of KAFKA_BOOTSTRAP_SERVERS that answered first. */
  send: <T>(request: Request<T>) => Promise<T>
  /** Sends a request to a broker at its advertised address; `controller` is the broker that changes topics. */
  sendTo: <T>(broker: number | 'controller', request: Request<T>) => Promise<T>
  /** Returns the finding for a permission that the configured user lacks: exit code 2. */
  missingPermission: (permission: Permission) => Finding
  close: () => void
}

/** Milliseconds that one broker gets to answer before the next is tried: a starting broker accepts connections before it serves requests. */
const ATTEMPT_MS = { min: 500, max: 2_000 }

interface Opening {
  /** For the first response, and for each later one. */
  timeoutMs: number
  /** For the first response, if that may take longer than `timeoutMs`; attempts are then less frequent. */
  waitMs?: number
  /** Aborts the wait, which then throws the signal's reason. */
  signal?: AbortSignal
  /** What to do while all servers refuse connections: wait for one to start, or fail at once. */
  refused?: 'wait' | 'fail'
  /** Receives a line that says what the wait is for, whenever its cause changes. */
  log?: (line: string) => void
}

/**
 * Connects to the first server of KAFKA_BOOTSTRAP_SERVERS that answers and knows an elected controller.
 * @throws {OpsError} exit code 3 if there is none in time; 2 if a broker answers but the connection settings are wrong
 */
export async function openCluster(
  settings: Servers,
  { timeoutMs, waitMs = timeoutMs, signal, refused = 'wait', log }: Opening,
): Promise<Cluster> {
  const servers = settings.KAFKA_BOOTSTRAP_SERVERS
  const failures = new Map<string, unknown>()
  const mistakes = new Map<string, Promise<Finding | undefined>>()
  const causes = () =>
    servers.length === 1
      ? networkCause(failures.get(servers[0] ?? ''))
      : servers.map((address) => `${address}: ${networkCause(failures.get(address))}`).join('; ')
  let reported = ''
  /** When a broker without topics was first seen. */
  let topiclessMs = Number.POSITIVE_INFINITY
  const deadline = performance.now() + waitMs
  const tryEach = async () => {
    signal?.throwIfAborted()
    for (const address of servers) {
      const attemptMs = Math.min(ATTEMPT_MS.max, Math.max(ATTEMPT_MS.min, deadline - performance.now()))
      try {
        return await openBroker(address, settings, attemptMs, performance.now() - topiclessMs > TOPICLESS_MS)
      } catch (error) {
        if (error instanceof Error && error.message === NO_TOPICS)
          topiclessMs = Math.min(topiclessMs, performance.now())
        failures.set(address, error)
        if (isRejected(error) && !mistakes.has(address))
          mistakes.set(address, mistakeAt(address, settings, error, attemptMs))
      }
    }
    const found = (await Promise.all(mistakes.values())).filter((each) => each !== undefined)
    if (found.length > 0) throw configError(found)
    if (refused === 'fail' && [...failures.values()].every((error) => networkCause(error) === 'connection refused'))
      throw failed()
    if (log && reported !== causes()) {
      reported = causes()
      log(`Waiting for Kafka at ${servers.join(', ')}: ${reported}`)
    }
    return undefined
  }
  const failed = () => unreachable(servers.join(','), new Error(causes()), waitMs)
  const found = await waitUntil(tryEach, { timeoutMs: waitMs, pollMs: waitMs > timeoutMs ? 500 : 100 })
  if (!found) throw failed()
  return clusterOf(found, settings, timeoutMs)
}

/** Whether wrong connection settings may explain a failure: anything but a refused connection or a timeout. */
const isRejected = (failure: unknown): boolean => !['connection refused', 'timed out'].includes(networkCause(failure))

/** Reports settings that keep the broker at `address` from accepting the connection, if any do. Imported late, because only failures need it. */
const mistakeAt = async (address: string, ...failed: [settings: Servers, failure: unknown, timeoutMs: number]) =>
  (await import('./connection-failure.mts')).connectionMistake(splitAddress(address), ...failed)

/** Milliseconds that a broker may take to learn its topics. If it still knows none, its ZooKeeper has lost them. */
const TOPICLESS_MS = 15_000

interface OpenBroker {
  address: string
  wire: Wire
  seen: Metadata
}

/** Connects to a broker that is ready: it answers and knows an elected controller, without which topics cannot change. @throws {Error} if not */
async function openBroker(
  address: string,
  settings: Servers,
  timeoutMs: number,
  allowNoTopics: boolean,
): Promise<OpenBroker> {
  const wire = await connectWire(splitAddress(address), settings, timeoutMs)
  try {
    const seen = await wire.send(metadata, timeoutMs)
    if (!seen.brokers.some(({ id }) => id === seen.controllerId)) throw new Error(NO_CONTROLLER)
    // A broker that has just started lists no topics until its controller has sent them; partitions on its disk show that some exist.
    if (!allowNoTopics && seen.topics.length === 0) {
      const dirs = await wire.send(describeLogDirs, timeoutMs)
      if (dirs.some(({ replicas }) => replicas.length > 0)) throw new Error(NO_TOPICS)
    }
    return { address, wire, seen }
  } catch (error) {
    wire.close()
    throw error
  }
}

/** Returns true if the first server of KAFKA_BOOTSTRAP_SERVERS is ready. @throws {Error} if it is not, or does not answer within `timeoutMs` */
export async function isUp(settings: Servers, timeoutMs: number): Promise<true> {
  const { wire } = await openBroker(settings.KAFKA_BOOTSTRAP_SERVERS[0] ?? '', settings, timeoutMs, true)
  wire.close()
  return true
}

function clusterOf({ address, wire, seen }: OpenBroker, settings: Servers, timeoutMs: number): Cluster {
  // The broker that advertises this address is sent requests over the same connection.
  const wires = new Map([[address, Promise.resolve(wire)]])
  let closed = false
  const ask = async <T,>(target: string, request: Request<T>): Promise<T> => {
    // A request that is still running after another one failed must not open a connection: nothing would close it.
    if (closed) throw new Error('Cannot send a request to Kafka: the cluster is closed')
    const open = wires.get(target) ?? connectWire(splitAddress(target), settings, timeoutMs)
    wires.set(target, open)
    try {
      return await (await open).send(request, timeoutMs)
    } catch (error) {
      if (wires.get(target) === open) wires.delete(target)
      if (error instanceof PermissionDenied) throw configError([missingPermission(settings, error.permission)])
      // This address has worked before.
      if (target === address) throw unreachable(target, error, timeoutMs, HEALTH_CHECK)
      // With TLS the certificate may not match this address. Without it, the settings have worked once, so the address is wrong.
      const secure = settings.KAFKA_SECURITY_PROTOCOL?.endsWith('SSL')
      const mistake = secure && isRejected(error) && (await mistakeAt(target, settings, error, ATTEMPT_MS.max))
      if (mistake) throw configError([{ ...mistake, subject: `${mistake.subject} (the broker's advertised address)` }])
      const hint = 'set KAFKA_ADVERTISED_HOST in .env to an address that clients can reach, then restart Kafka'
      throw unreachable(`${target} (the broker's advertised address)`, error, timeoutMs, hint)
    }
  }
  return {
    metadata: seen,
    missingPermission: (permission) => missingPermission(settings, permission),
    send: (request) => ask(address, request),
    sendTo: async (id, request) => {
      const broker = seen.brokers.find((each) => each.id === (id === 'controller' ? seen.controllerId : id))
      if (!broker) throw unreachable(`broker ${id}`, new Error('no such broker in the cluster'), timeoutMs)
      return ask(`${broker.host}:${broker.port}`, request)
    },
    close: () => {
      closed = true
      // A failed connection is reported by the request that opened it.
      for (const pending of wires.values())
        pending.then(
          (open) => open.close(),
          () => {},
        )
    },
  }
}
