/** Writes a cluster's existing topics as a declaration in the format of kafka/topics.yml. */
import type { ConfigValue } from '../kafka/topic-requests.mts'
import { DURATION, HOURS } from './file.mts'
import type { ActualTopic } from './plan.mts'

const HOUR_MS = 3_600_000
const FIELDS = new Map<string, string>(HOURS.map(([field, key]) => [key, field]))

/**
 * Returns a declaration of these topics that produces an empty plan. Configuration set on a topic is declared. The broker's defaults are
 * listed in a comment only, because a declared value would no longer follow the broker's.
 */
export function renderTopicsFile(topics: readonly ActualTopic[], clusterId: string): string {
  const sorted = topics.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const lines = [
    `# The current topics of Kafka cluster ${clusterId}. Applying this file with \`./scripts/create-topics.mts --file\` changes nothing there.`,
    '# Kafka does not know what producers key their records by: for keyed topics, add it, for example `key: symbol`.',
    ...defaultsComment(sorted),
    ...(sorted.length > 0 ? ['topics:'] : ['topics: []']),
    ...sorted.flatMap((topic, index) => (index === 0 ? renderTopic(topic) : ['', ...renderTopic(topic)])),
  ]
  return `${lines.join('\n')}\n`
}

function defaultsComment(topics: readonly ActualTopic[]): string[] {
  const values = new Map<string, Set<string>>()
  for (const { config } of topics)
    for (const [key, { value, own }] of config) {
      if (own || value === null) continue
      values.set(key, (values.get(key) ?? new Set()).add(value))
    }
  if (values.size === 0) return []
  const keys = [...values.keys()].sort()
  return [
    "# Not declared: the broker's defaults, which apply to topics that do not set these keys:",
    ...keys.map((key) => `#   ${key}: ${[...(values.get(key) ?? [])].map((value) => text(value)).join(', ')}`),
  ]
}

function renderTopic({ name, partitions, replication, config }: ActualTopic): string[] {
  const own = [...config].filter(([, { own: isOwn }]) => isOwn).sort(([a], [b]) => (a < b ? -1 : 1))
  const inHours = own.flatMap(([key, value]) => {
    const hours = hoursOf(key, value)
    return hours === undefined ? [] : [`    ${FIELDS.get(key)}: ${hours}`]
  })
  const others = own.filter(([key, value]) => hoursOf(key, value) === undefined)
  return [
    `  - name: ${text(name)}`,
    `    partitions: ${partitions}`,
    `    replication: ${replication}`,
    ...inHours,
    ...(others.length > 0 ? ['    config:'] : []),
    ...others.map(([key, { value }]) => `      ${text(key)}: ${text(value ?? '')}`),
  ]
}

/** Returns a value in hours if at most three decimal places express it exactly, otherwise undefined. */
function hoursOf(key: string, { value }: ConfigValue): string | undefined {
  const ms = Number(value)
  const hours = String(ms / HOUR_MS)
  const isExact = ms > 0 && /^\d+(\.\d{1,3})?$/.test(hours) && Math.round(Number(hours) * HOUR_MS) === ms
  return FIELDS.has(key) && isExact && Number(hours) <= DURATION.max ? hours : undefined
}

/** Returns a YAML scalar with `$` escaped so that no variable is expanded; unquoted if it cannot be read as anything but this text. */
function text(value: string): string {
  if (/^-?\w[\w.-]*$/.test(value) && !/^null$/i.test(value)) return value
  return JSON.stringify(value.replaceAll('$', '$$$$'))
}
