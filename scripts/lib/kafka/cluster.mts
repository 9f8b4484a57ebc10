/** The way to Kafka for what the scripts ask it themselves. It has deadlines, and turns failures into findings that name the cause. */
import { cannotTell, configError, type Finding, type OpsError, unknown } from '../common/findings.mts'
import { networkCause, splitAddress } from '../common/tcp.mts'
import { waitUntil } from '../common/wait.mts'
import { type Metadata, metadata } from './cluster-requests.mts'
import { describeLogDirs } from './log-dirs.mts'
import type { Servers } from './options.mts'
import { NotAllowed, type Right, rightMistake } from './permissions.mts'
import { connectWire, type Request, type Wire } from './transport.mts'

/** What to do about a broker that has a fault but not a wrong address. */
export const ASK_HEALTH = './scripts/health-check.mts'
const NO_CONTROLLER = 'no controller is elected yet'
const NO_TOPICS = 'the broker does not know its topics yet'

/** What to do about `addresses`, comma-separated, of which none answers, for the cause `found`. */
function hintFor(addresses: string, found: string): string {
  if (found.includes('connection refused')) return 'npm start'
  const local = addresses.split(',').every((address) => /^(localhost|127\.[\d.]+|\[::1\]):/.test(address))
  // A server that gives the first two answers is a broker; and on this machine only what hangs, or is stopped, gives no answer at all.
  const right = found.includes(NO_CONTROLLER) || found.includes(NO_TOPICS) || (local && found.includes('timed out'))
  return right ? ASK_HEALTH : 'edit .env: KAFKA_BOOTSTRAP_SERVERS=…'
}

/** The {@link OpsError} of a broker that does not answer: exit code 3. */
export function unreachable(address: string, failure: unknown, timeoutMs: number, hint?: string): OpsError {
  const cause = networkCause(failure)
  const answered = refusal(failure)
  const found = answered
    ? `${address} refuses for ${timeoutMs / 1000} s (${answered})`
    : `no answer from ${address} within ${timeoutMs / 1000} s (${cause})`
  const wayOut = hint ?? (answered ? `${ASK_HEALTH} --only kafka` : hintFor(address, cause))
  return cannotTell(unknown('KAFKA_UNREACHABLE', 'kafka', { found, hint: wayOut }), failure)
}

/** What a broker answered instead of doing it, in kafkajs's words; undefined for what is no answer of a broker. */
function refusal(failure: unknown): string | undefined {
  for (let at = failure; at instanceof Error; at = at.cause) if (at.name === 'KafkaJSProtocolError') return at.message
  return undefined
}

/** A cluster with an elected controller. What it is asked throws an {@link OpsError} with exit code 3 when no answer comes. */
export interface Cluster {
  /** As it was when the cluster was opened. */
  metadata: Metadata
  /** Asks the broker of KAFKA_BOOTSTRAP_SERVERS that answered first. */
  send: <T>(request: Request<T>) => Promise<T>
  /** Asks a broker at the address that it advertises to its clients; `controller` is the one that changes topics. */
  sendTo: <T>(broker: number | 'controller', request: Request<T>) => Promise<T>
  /** The finding of a right that the login of the settings lacks: exit code 2. */
  lacks: (right: Right) => Finding
  close: () => void
}

/** Milliseconds one broker gets to answer before the next is tried: a starting broker accepts connections before it serves them. */
const ATTEMPT_MS = { min: 500, max: 2_000 }

interface Opening {
  /** For the first answer, and for each afterwards. */
  timeoutMs: number
  /** For the first answer, where that may take longer; it is then asked for less often. */
  waitMs?: number
  /** Ends the wait; what is thrown is its reason. */
  signal?: AbortSignal
  /** What servers that all refuse connections mean: none may have started yet, or, with `fail`, none is there. */
  refused?: 'wait' | 'fail'
  /** Called, once a cause, with what is waited for. */
  log?: (line: string) => void
}

/**
 * The cluster behind KAFKA_BOOTSTRAP_SERVERS, as soon as one of them answers and names a controller.
 * @throws {OpsError} exit code 3, when none did; 2, when one is there and the settings of the connection are wrong
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
  /** When a broker was first seen without topics. */
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
        if (isConnection(error) && !mistakes.has(address))
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

/** Whether a broker refused a connection, and not what was asked over it, or did not answer at all: the settings may be the reason. */
const isConnection = (failure: unknown): boolean => !['connection refused', 'timed out'].includes(networkCause(failure))

/** What in the settings keeps the broker at `address` from taking the connection, if they do. Only failures pay for the import. */
const mistakeAt = async (address: string, ...failed: [settings: Servers, failure: unknown, timeoutMs: number]) =>
  (await import('./connection-failure.mts')).loginMistake(splitAddress(address), ...failed)

/** Milliseconds that a broker may take to learn of its topics; one that knows none after that has a ZooKeeper that lost them. */
const TOPICLESS_MS = 15_000

interface OpenBroker {
  address: string
  wire: Wire
  seen: Metadata
}

/** A broker that serves: it answers, and knows a controller, without which nothing can be made. @throws {Error} when it does not */
async function openBroker(
  address: string,
  settings: Servers,
  timeoutMs: number,
  topicless: boolean,
): Promise<OpenBroker> {
  const wire = await connectWire(splitAddress(address), settings, timeoutMs)
  try {
    const seen = await wire.send(metadata, timeoutMs)
    if (!seen.brokers.some(({ id }) => id === seen.controllerId)) throw new Error(NO_CONTROLLER)
    // A broker that has just started answers before its controller has sent it any topic, and then lists none; the
    // partitions on its disk give that away.
    if (!topicless && seen.topics.length === 0) {
      const dirs = await wire.send(describeLogDirs, timeoutMs)
      if (dirs.some(({ replicas }) => replicas.length > 0)) throw new Error(NO_TOPICS)
    }
    return { address, wire, seen }
  } catch (error) {
    wire.close()
    throw error
  }
}

/** True once the first broker of KAFKA_BOOTSTRAP_SERVERS serves. @throws {Error} when it does not, or gives no answer in `timeoutMs` */
export async function isUp(settings: Servers, timeoutMs: number): Promise<true> {
  const { wire } = await openBroker(settings.KAFKA_BOOTSTRAP_SERVERS[0] ?? '', settings, timeoutMs, true)
  wire.close()
  return true
}

function clusterOf({ address, wire, seen }: OpenBroker, settings: Servers, timeoutMs: number): Cluster {
  // A broker that advertises the address we came by is asked over the same connection.
  const wires = new Map([[address, Promise.resolve(wire)]])
  let closed = false
  const ask = async <T,>(target: string, request: Request<T>): Promise<T> => {
    // A request that still runs after another has failed must not open a connection: nothing would close it.
    if (closed) throw new Error('Cannot ask Kafka: the cluster was closed')
    const open = wires.get(target) ?? connectWire(splitAddress(target), settings, timeoutMs)
    wires.set(target, open)
    try {
      return await (await open).send(request, timeoutMs)
    } catch (error) {
      if (wires.get(target) === open) wires.delete(target)
      // It has answered at this address before.
      if (error instanceof NotAllowed) throw configError([rightMistake(settings, error.right)])
      if (target === address) throw unreachable(target, error, timeoutMs, ASK_HEALTH)
      // Certificates may not fit this address; a plain connection that was taken once says that the address is wrong.
      const secure = settings.KAFKA_SECURITY_PROTOCOL?.endsWith('SSL')
      const mistake = secure && isConnection(error) && (await mistakeAt(target, settings, error, ATTEMPT_MS.max))
      if (mistake) throw configError([{ ...mistake, subject: `${mistake.subject} (the address that it advertises)` }])
      const hint = 'set KAFKA_ADVERTISED_HOST in .env to an address that clients reach, then restart Kafka'
      throw unreachable(`${target} (the address that it advertises)`, error, timeoutMs, hint)
    }
  }
  return {
    metadata: seen,
    lacks: (right) => rightMistake(settings, right),
    send: (request) => ask(address, request),
    sendTo: async (id, request) => {
      const broker = seen.brokers.find((each) => each.id === (id === 'controller' ? seen.controllerId : id))
      if (!broker) throw unreachable(`broker ${id}`, new Error('no such broker in the cluster'), timeoutMs)
      return ask(`${broker.host}:${broker.port}`, request)
    },
    close: () => {
      closed = true
      // A connection that never came about is reported where it was asked for.
      for (const pending of wires.values())
        pending.then(
          (open) => open.close(),
          () => {},
        )
    },
  }
}
