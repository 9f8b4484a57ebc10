/**
 * The way to Kafka: `openCluster` for what kafka-requests.mts asks itself, `openKafkajs` for groups, producers and
 * consumers. Both have deadlines and turn failures into findings that name the cause.
 */
import type { Admin, Consumer, ConsumerConfig, Producer, ProducerConfig } from 'kafkajs'
import { cannotTell, type OpsError } from '../common/findings.mts'
import { networkCause } from '../common/tcp.mts'
import { waitUntil } from '../common/wait.mts'
import type { Settings } from '../settings/settings.mts'
import { describeLogDirs, type Metadata, metadata } from './cluster-requests.mts'
import type { Request } from './codec.mts'
import { connectWire, type Wire } from './transport.mts'

type Servers = Pick<Settings, 'KAFKA_BOOTSTRAP_SERVERS'>

/** What to do about a broker that has a fault but not a wrong address. */
export const ASK_HEALTH = './scripts/health-check.mts'
const NO_CONTROLLER = 'no controller is elected yet'
const NO_TOPICS = 'the broker does not know its topics yet'

/** What mends that none of `addresses`, comma-separated, answers for the cause `found`. */
function mendOf(addresses: string, found: string): string {
  if (found.includes('connection refused')) return 'npm start'
  const local = addresses.split(',').every((address) => /^(localhost|127\.[\d.]+|\[::1\]):/.test(address))
  // Whoever says the first two is a broker; and on this machine only what hangs, or is stopped, gives no answer at all.
  const right = found.includes(NO_CONTROLLER) || found.includes(NO_TOPICS) || (local && found.includes('timed out'))
  return right ? ASK_HEALTH : 'edit .env: KAFKA_BOOTSTRAP_SERVERS=…'
}

/** The {@link OpsError} of a broker that does not answer: exit code 3. */
export function unreachable(address: string, error: unknown, timeoutMs: number, mend?: string): OpsError {
  const found = networkCause(error)
  const hint = mend ?? mendOf(address, found)
  const expected = `a Kafka broker that answers within ${timeoutMs / 1000} s`
  return cannotTell({ code: 'KAFKA_UNREACHABLE', subject: `kafka ${address}`, found, expected, hint }, error)
}

/** A cluster with an elected controller. What it is asked throws an {@link OpsError} with exit code 3 when no answer comes. */
export interface Cluster {
  /** As it was when the cluster was opened. */
  metadata: Metadata
  /** Asks the broker of KAFKA_BOOTSTRAP_SERVERS that answered first. */
  send: <T>(request: Request<T>) => Promise<T>
  /** Asks a broker at the address that it advertises to its clients; `controller` is the one that changes topics. */
  sendTo: <T>(broker: number | 'controller', request: Request<T>) => Promise<T>
  close: () => void
}

/** Milliseconds one broker gets to answer before the next is tried: a starting broker accepts connections before it serves them. */
const ATTEMPT_MS = { min: 500, max: 2_000 }

/**
 * The cluster behind KAFKA_BOOTSTRAP_SERVERS, as soon as one of them answers and names a controller.
 * @param options.timeoutMs for that, and for each answer afterwards
 * @param options.log told, once a cause, what is waited for
 * @throws {OpsError} exit code 3, when none did
 */
export async function openCluster(
  { KAFKA_BOOTSTRAP_SERVERS: servers }: Servers,
  { timeoutMs, log }: { timeoutMs: number; log?: (line: string) => void },
): Promise<Cluster> {
  const failures = new Map<string, unknown>()
  const causes = () =>
    servers.length === 1
      ? networkCause(failures.get(servers[0] ?? ''))
      : servers.map((address) => `${address}: ${networkCause(failures.get(address))}`).join('; ')
  let told = ''
  const startedMs = performance.now()
  const deadline = startedMs + timeoutMs
  const tryEach = async () => {
    for (const address of servers) {
      const leftMs = deadline - performance.now()
      try {
        const topicless = performance.now() - startedMs > TOPICLESS_MS
        return await tryServer(address, Math.min(ATTEMPT_MS.max, Math.max(ATTEMPT_MS.min, leftMs)), topicless)
      } catch (error) {
        failures.set(address, error)
      }
    }
    if (log && told !== causes()) {
      told = causes()
      log(`Waiting for Kafka at ${servers.join(', ')}: ${told}`)
    }
    return undefined
  }
  const found = await waitUntil(tryEach, { timeoutMs, pollMs: 100 })
  if (!found) throw unreachable(servers.join(','), new Error(causes()), timeoutMs)
  return clusterOf(found, timeoutMs)
}

/** So long may a broker take to learn of its topics; one that knows none after that has a ZooKeeper that lost them. */
const TOPICLESS_MS = 15_000

async function tryServer(
  address: string,
  timeoutMs: number,
  topicless: boolean,
): Promise<{ address: string; wire: Wire; seen: Metadata }> {
  const { host, port } = splitAddress(address)
  const wire = await connectWire(host, port, timeoutMs)
  try {
    const seen = await wire.send(metadata, timeoutMs)
    if (!seen.brokers.some(({ id }) => id === seen.controllerId)) throw new Error(NO_CONTROLLER)
    // A broker that has just started answers before its controller has told it of any topic, and then knows none; the
    // partitions on its disk give that away.
    if (!topicless && seen.topics.length === 0 && (await wire.send(describeLogDirs, timeoutMs)).size > 0) {
      throw new Error(NO_TOPICS)
    }
    return { address, wire, seen }
  } catch (error) {
    wire.close()
    throw error
  }
}

function clusterOf(
  { address, wire, seen }: { address: string; wire: Wire; seen: Metadata },
  timeoutMs: number,
): Cluster {
  // A broker that advertises the address we came by is asked over the same connection.
  const wires = new Map([[address, Promise.resolve(wire)]])
  const ask = async <T,>(target: string, request: Request<T>): Promise<T> => {
    try {
      const { host, port } = splitAddress(target)
      if (!wires.has(target)) wires.set(target, connectWire(host, port, timeoutMs))
      return await ((await wires.get(target)) as Wire).send(request, timeoutMs)
    } catch (error) {
      // It has answered at this address before.
      if (target === address) throw unreachable(target, error, timeoutMs, ASK_HEALTH)
      const mend = 'set KAFKA_ADVERTISED_HOST in .env to an address that clients reach, then restart Kafka'
      throw unreachable(`${target} (the address that it advertises)`, error, timeoutMs, mend)
    }
  }
  return {
    metadata: seen,
    send: (request) => ask(address, request),
    sendTo: async (id, request) => {
      const broker = seen.brokers.find((each) => each.id === (id === 'controller' ? seen.controllerId : id))
      if (!broker) throw unreachable(`broker ${id}`, new Error('no such broker in the cluster'), timeoutMs)
      return ask(`${broker.host}:${broker.port}`, request)
    },
    close: () => {
      // A connection that never came about has been reported by whoever asked for it.
      for (const pending of wires.values())
        pending.then(
          (open) => open.close(),
          () => {},
        )
    },
  }
}

/** Host and port of `host:port`, the host of an IPv6 address without its brackets. */
export function splitAddress(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(':')
  return { host: address.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port: Number(address.slice(colon + 1)) }
}

/** Connected clients of kafkajs; `close` ends all that were handed out. Each connects within the deadline or throws exit code 3. */
export interface KafkajsClients {
  admin: () => Promise<Admin>
  producer: (config?: ProducerConfig) => Promise<Producer>
  consumer: (config: ConsumerConfig) => Promise<Consumer>
  close: () => Promise<void>
}

/**
 * kafkajs, imported only here and only when called for (it costs about 0.1 s), on KAFKA_BOOTSTRAP_SERVERS. Its log is kept off the
 * terminal; the last thing it complained of is named when a deadline passes.
 * @param options.timeoutMs to connect, and for each answer afterwards
 */
export async function openKafkajs(
  { KAFKA_BOOTSTRAP_SERVERS: servers }: Servers,
  { timeoutMs }: { timeoutMs: number },
): Promise<KafkajsClients> {
  silenceNegativeTimeouts()
  const { default: kafkajs } = await import('kafkajs')
  let complaint: string | undefined
  const kafka = new kafkajs.Kafka({
    clientId: 'l2-stack',
    brokers: [...servers],
    connectionTimeout: timeoutMs,
    requestTimeout: timeoutMs,
    retry: { retries: 2, initialRetryTime: 100, maxRetryTime: timeoutMs },
    logLevel: kafkajs.logLevel.ERROR,
    logCreator: () => (entry) => {
      complaint = String(entry.log.error ?? entry.log.message)
    },
  })
  const open: { disconnect: () => Promise<void> }[] = []
  const connected = async <C extends { connect: () => Promise<void>; disconnect: () => Promise<void> }>(client: C) => {
    let timer: NodeJS.Timeout | undefined
    const deadline = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(complaint ?? `no answer in ${timeoutMs / 1000} s`)), timeoutMs)
    })
    const connecting = client.connect()
    try {
      await Promise.race([connecting, deadline])
      open.push(client)
      return client
    } catch (error) {
      // One that comes about after all would keep the process alive for ever, and so would one that is ended before.
      connecting.catch(() => {}).then(() => client.disconnect())
      throw unreachable(servers.join(','), error, timeoutMs)
    } finally {
      clearTimeout(timer)
    }
  }
  return {
    admin: () => connected(kafka.admin()),
    // The partitioner of the Java and Python clients, so that a key lands where they put it; naming one also keeps kafkajs's notice away.
    producer: (config) =>
      connected(kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner, ...config })),
    consumer: (config) => connected(kafka.consumer(config)),
    close: async () => {
      await Promise.allSettled(open.map((client) => client.disconnect()))
    },
  }
}

let negativeTimeoutsSilenced = false

/**
 * kafkajs 2.2.4 asks for timers in the past (src/network/requestQueue/index.js, scheduleCheckPendingRequests), of which Node.js from 23
 * warns on stderr. The timers do what they should, so only the warning is dropped.
 */
function silenceNegativeTimeouts(): void {
  if (negativeTimeoutsSilenced) return
  negativeTimeoutsSilenced = true
  const { emitWarning } = process
  process.emitWarning = (warning: string | Error, ...rest: unknown[]) => {
    if (rest[0] !== 'TimeoutNegativeWarning') Reflect.apply(emitWarning, process, [warning, ...rest])
  }
}
