/** What all uses of kafkajs share: connection options, and sockets that can be closed at any time. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Socket } from 'node:net'
import type { ISocketFactory, KafkaConfig } from 'kafkajs'
import type { Settings } from '../settings/settings.mts'
import { tokenProvider } from './oauth-token.mts'

/** The brokers and how to connect to them: without TLS and authentication unless settings ask for them. */
export type Servers = Pick<Settings, 'KAFKA_BOOTSTRAP_SERVERS'> &
  Partial<Pick<Settings, Extract<keyof Settings, `KAFKA_${'SECURITY' | 'SASL' | 'SSL'}_${string}`>>>

/** Returns the kafkajs options for the settings. `clientId` names the client in the broker's logs and quotas. */
export function kafkaOptions(settings: Servers) {
  const { KAFKA_BOOTSTRAP_SERVERS: servers, KAFKA_SECURITY_PROTOCOL: protocol = 'PLAINTEXT' } = settings
  return {
    clientId: 'l2-stack',
    brokers: [...servers],
    ...(protocol.endsWith('SSL') ? { ssl: tlsOptions(settings) } : {}),
    ...(protocol.startsWith('SASL') ? { sasl: saslOptions(settings) } : {}),
  }
}

function tlsOptions(settings: Servers): Exclude<KafkaConfig['ssl'], boolean | undefined> {
  const { KAFKA_SSL_CA_LOCATION: ca, KAFKA_SSL_CERTIFICATE_LOCATION: cert, KAFKA_SSL_KEY_LOCATION: key } = settings
  return {
    ...(ca ? { ca: readFileSync(ca) } : {}),
    ...(cert && key ? { cert: readFileSync(cert), key: readFileSync(key) } : {}),
    ...(settings.KAFKA_SSL_KEY_PASSWORD ? { passphrase: settings.KAFKA_SSL_KEY_PASSWORD } : {}),
  }
}

function saslOptions(settings: Servers): NonNullable<KafkaConfig['sasl']> {
  const { KAFKA_SASL_MECHANISM: mechanism, KAFKA_SASL_USERNAME: username = '' } = settings
  const { KAFKA_SASL_PASSWORD: password = '' } = settings
  switch (mechanism) {
    case 'OAUTHBEARER': {
      const endpoint = settings.KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL ?? ''
      return { mechanism: 'oauthbearer', oauthBearerProvider: tokenProvider(endpoint, username, password) }
    }
    case 'SCRAM-SHA-256':
      return { mechanism: 'scram-sha-256', username, password }
    case 'SCRAM-SHA-512':
      return { mechanism: 'scram-sha-512', username, password }
    default:
      return { mechanism: 'plain', username, password }
  }
}

/** Requires an internal module of kafkajs. `import()` would take longer to load that many files. */
export const inner = createRequire(import.meta.url)

export interface TrackedSockets {
  create: ISocketFactory
  /** Rejects with the error of the first socket that closes. */
  broken: Promise<never>
  /** Destroys all sockets with `error`, and refuses new ones: kafkajs itself waits for pending responses, and reconnects. */
  destroy: (error: Error) => void
}

/** Creates sockets for kafkajs and keeps track of them. Each keeps the process alive until it closes. */
export function trackedSockets(): TrackedSockets {
  silenceNegativeTimeouts()
  const connect: ISocketFactory = inner('kafkajs/src/network/socketFactory.js')()
  const all: Socket[] = []
  let ended: Error | undefined
  let breaks: (error: Error) => void = () => {}
  const broken = new Promise<never>((_, reject) => {
    breaks = reject
  })
  broken.catch(() => {
    // Otherwise it would be an unhandled rejection while no request is waiting.
  })
  return {
    broken,
    create: (args) => {
      if (ended) throw ended
      const socket = guard(connect(args)).setNoDelay(true)
      all.push(socket)
      const hungUp = () => breaks(withCode('ECONNRESET', 'the broker closed the connection'))
      return socket.once('error', breaks).once('end', hungUp)
    },
    destroy: (error) => {
      ended ??= error
      breaks(error)
      for (const socket of all) socket.destroy(error)
    },
  }
}

/**
 * Maximum bytes of the first response on a connection. Fetches, which kafkajs sends over a dedicated connection, return some 10 MB; text of
 * another protocol, read as a length, exceeds this limit.
 */
const MAX_FIRST_RESPONSE = 128 * 1024 * 1024

/** Guards the data listener of a socket: kafkajs trusts the length in the first four bytes, and throws uncaught errors on garbage. */
function guard(socket: Socket): Socket {
  const on = socket.on.bind(socket)
  const guarded = (listener: (data: Buffer) => void) => {
    let head = Buffer.alloc(0)
    return (data: Buffer) => {
      if (head.length < 4) head = Buffer.concat([head, data]).subarray(0, 4)
      const length = head.length < 4 ? 4 : head.readInt32BE(0)
      try {
        if (length < 4 || length > MAX_FIRST_RESPONSE) throw new RangeError(`${length} bytes`)
        if (!socket.destroyed) listener(data)
      } catch {
        // Whatever the error, a broker does not send this.
        socket.destroy(withCode('EPROTO', 'not a Kafka response'))
      }
    }
  }
  return Object.assign(socket, {
    on: (event: string, listener: (data: Buffer) => void) => on(event, event === 'data' ? guarded(listener) : listener),
  })
}

/** Creates an error with a `code`, like the network errors of Node.js. */
export const withCode = (code: string, message: string): Error => Object.assign(new Error(message), { code })

let negativeTimeoutsSilenced = false

/**
 * Suppresses the warnings that Node.js 23 and later print about negative timeouts, which kafkajs 2.2.4 sets in
 * src/network/requestQueue/index.js (scheduleCheckPendingRequests). The timers work as intended.
 */
function silenceNegativeTimeouts(): void {
  if (negativeTimeoutsSilenced) return
  negativeTimeoutsSilenced = true
  const { emitWarning } = process
  process.emitWarning = (warning: string | Error, ...rest: unknown[]) => {
    if (rest[0] !== 'TimeoutNegativeWarning') Reflect.apply(emitWarning, process, [warning, ...rest])
  }
}
