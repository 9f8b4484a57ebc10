/** What kafkajs gets from us wherever it is used: options, sockets that end when we say so, and silence. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Socket } from 'node:net'
import type { ISocketFactory, KafkaConfig } from 'kafkajs'
import type { Settings } from '../settings/settings.mts'
import { tokenProvider } from './oauth-token.mts'

/** Which brokers, and how to connect to them; without the rest plainly. */
export type Servers = Pick<Settings, 'KAFKA_BOOTSTRAP_SERVERS'> &
  Partial<Pick<Settings, Extract<keyof Settings, `KAFKA_${'SECURITY' | 'SASL' | 'SSL'}_${string}`>>>

/** The options of kafkajs that the settings decide; `clientId` is the client's name in the broker's logs and quotas. */
export function kafkaOptions(settings: Servers) {
  const { KAFKA_BOOTSTRAP_SERVERS: servers, KAFKA_SECURITY_PROTOCOL: protocol = 'PLAINTEXT' } = settings
  return {
    clientId: 'l2-stack',
    brokers: [...servers],
    ...(protocol.endsWith('SSL') ? { ssl: tlsOptions(settings) } : {}),
    ...(protocol.startsWith('SASL') ? { sasl: loginOptions(settings) } : {}),
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

function loginOptions(settings: Servers): NonNullable<KafkaConfig['sasl']> {
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

/** Requires an inner module of kafkajs. `import()` takes longer to load as many files. */
export const inner = createRequire(import.meta.url)

export interface OwnSockets {
  create: ISocketFactory
  /** Rejects with the first reason why a socket ended. */
  broken: Promise<never>
  /** Ends all sockets with `error`, and each that is still asked for: kafkajs itself waits for unanswered requests, and tries again. */
  destroy: (error: Error) => void
}

/** Sockets for kafkajs. Each keeps the process alive until it ends. */
export function ownSockets(): OwnSockets {
  silenceNegativeTimeouts()
  const connect: ISocketFactory = inner('kafkajs/src/network/socketFactory.js')()
  const all: Socket[] = []
  let ended: Error | undefined
  let breaks: (error: Error) => void = () => {}
  const broken = new Promise<never>((_, reject) => {
    breaks = reject
  })
  broken.catch(() => {
    // The rejection is for those who wait for an answer, if any do.
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
 * Bytes of the first answer: a fetch, which has a connection of its own, comes to some 10 MB. The text of another protocol, read as a length,
 * comes to more.
 */
const MAX_FIRST_ANSWER = 128 * 1024 * 1024

/** kafkajs waits for as many bytes as the first four say, and throws where nothing catches it when they make no sense. */
function guard(socket: Socket): Socket {
  const on = socket.on.bind(socket)
  const guarded = (listener: (data: Buffer) => void) => {
    let head = Buffer.alloc(0)
    return (data: Buffer) => {
      if (head.length < 4) head = Buffer.concat([head, data]).subarray(0, 4)
      const length = head.length < 4 ? 4 : head.readInt32BE(0)
      try {
        if (length < 4 || length > MAX_FIRST_ANSWER) throw new RangeError(`${length} bytes`)
        if (!socket.destroyed) listener(data)
      } catch {
        // Whatever it is, no broker sends it.
        socket.destroy(withCode('EPROTO', 'an answer that is not Kafka’s protocol'))
      }
    }
  }
  return Object.assign(socket, {
    on: (event: string, listener: (data: Buffer) => void) => on(event, event === 'data' ? guarded(listener) : listener),
  })
}

/** An error with a code as Node.js gives its network errors. */
export const withCode = (code: string, message: string): Error => Object.assign(new Error(message), { code })

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
