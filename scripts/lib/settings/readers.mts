/** Parses the values of settings, and rejects invalid ones. */
import { isIP, isIPv4 } from 'node:net'

/** Parses the text of a setting; throws a RangeError whose message says what was expected. */
export type Reader<T> = (text: string) => T

export const matching =
  (pattern: RegExp, expected: string): Reader<string> =>
  (text) => {
    if (!pattern.test(text)) throw new RangeError(expected)
    return text
  }

export const oneOf =
  <T extends string>(...words: T[]): Reader<T> =>
  (text) => {
    const word = words.find((each) => each === text)
    if (word !== undefined) return word
    const named = words.filter(Boolean)
    throw new RangeError(`${named.slice(0, -1).join(', ')} or ${named.at(-1)}`)
  }

export const integer =
  (min: number, max: number): Reader<number> =>
  (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (!(value >= min && value <= max)) throw new RangeError(`an integer from ${min} to ${max}`)
    return value
  }

export const port = integer(1, 65_535)
/** Hours and days have a limit of 100 years: more would overflow the services' counters of milliseconds and seconds. */
export const hours = integer(1, 876_000)
export const days = integer(0, 36_500)
export const image = matching(/^[^\p{Cc}\s]+$/u, 'an image name')
/** A numeric last label would make it an IPv4 address. @see https://url.spec.whatwg.org/#ends-in-a-number-checker */
const hostName = matching(
  /^(?:[\w-]+\.)*(?!(?:\d+|0x[\da-f]*)\.?$)[\w-]+\.?$/i,
  'a host name or address, without a port',
)
export const host: Reader<string> = (text) =>
  isIPv4(text) || isIP(text.replace(/^\[(.*)\]$/, '$1').replace('%', ' ')) === 6 ? text : hostName(text)
export const name = matching(/^[A-Za-z_]\w*$/, 'letters, digits and "_", not beginning with a digit')
/** The name of a ClickHouse cluster, or empty. */
export const cluster = matching(/^[\w.-]*$/, 'letters, digits, "_", "-" and "."')
/** Databases of ClickHouse itself; starting the embedded server clears some of them. */
const RESERVED = /^(system|information_schema|default|_temporary_and_external_tables)$/i
export const database: Reader<string> = (text) => {
  if (RESERVED.test(text)) throw new RangeError('a name that ClickHouse does not reserve')
  return name(text)
}
/** Excludes `default`, which the embedded server's internal session uses. */
export const user = matching(
  /^(?!default$)[A-Za-z_]\w*$/,
  'letters, digits and "_", not beginning with a digit, not "default"',
)
/** An optional second user besides CLICKHOUSE_USER. */
export const otherUser: Reader<string> = (text) => (text === '' ? text : user(text))
export const heap = matching(/^[1-9]\d*[kmg]$/i, 'a size such as 320m')
export const printable = matching(/^[^\p{Cc}]*$/u, 'printable characters')
export const noSpaces = matching(/^[^\p{Cc}\s]*$/u, 'printable characters without spaces')

const UNITS: Record<string, number> = { '': 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 }

/** Parses a memory size as Docker does, to bytes: a number and b, k, m or g (or kb, mb, gb), in powers of 1024. */
export function parseBytes(text: string): number {
  const match = /^(\d+)([bkmg]?)b?$/i.exec(text)
  const bytes = Number(match?.[1]) * (UNITS[match?.[2]?.toLowerCase() ?? ''] ?? Number.NaN)
  if (!(bytes > 0 && Number.isSafeInteger(bytes))) throw new RangeError('a size such as 896m')
  return bytes
}

/** Parses a memory size as Redis does, to bytes: `gb` is 1024³, but `g` is 1000³. */
export const redisBytes: Reader<number> = (text) => {
  const bytes = parseBytes(text)
  const decimal = /^(\d+)([kmg])$/i.exec(text)
  return !decimal ? bytes : Number(decimal[1]) * 1000 ** ' kmg'.indexOf(decimal[2]?.toLowerCase() ?? ' ')
}

export const kafkaMode = oneOf('zookeeper', 'kraft')
/** Where Kafka's metadata is stored: in ZooKeeper (Kafka 3.9), or in the broker itself (Kafka 4, KRaft). */
export type KafkaMode = ReturnType<typeof kafkaMode>

export const bootstrapServers: Reader<string[]> = (text) => {
  const servers = text.split(',').map((server) => server.trim())
  for (const server of servers) {
    const [, serverHost = '', serverPort = ''] = /^(.+):(\d+)$/.exec(server) ?? []
    try {
      host(serverHost)
      port(serverPort)
    } catch {
      throw new RangeError('host:port, host:port …')
    }
  }
  return servers
}

/** For BIND_ADDRESS. Compose rejects host names here, and requires brackets around IPv6, which the services' configurations reject. */
export const ipv4: Reader<string> = (text) => {
  if (!isIPv4(text)) throw new RangeError('an IPv4 address such as 127.0.0.1')
  return text
}

/** Source privileges of ClickHouse 26.3, except KAFKA, which is always granted. */
const SOURCES = 'FILE URL REMOTE S3 AZURE HDFS HIVE MYSQL POSTGRES SQLITE MONGO REDIS ODBC JDBC NATS RABBITMQ'.split(
  ' ',
)

/** Values of CLICKHOUSE_EXTRA_GRANTS. BACKUP can write to any object store that a query names; no privilege restricts that. */
export const EXTRA_GRANTS = ['BACKUP', ...SOURCES]

export const extraGrants: Reader<string[]> = (text) => {
  const names = text === '' ? [] : text.split(',').map((name) => name.trim())
  if (!names.every((name) => EXTRA_GRANTS.includes(name))) throw new RangeError(`a list of ${EXTRA_GRANTS.join(', ')}`)
  return names
}

export const EVICTION = /^(noeviction|(allkeys|volatile)-(lru|lfu|random|lrm)|volatile-ttl)$/
