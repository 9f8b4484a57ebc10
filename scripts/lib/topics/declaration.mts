/** The declaration of the topics that a cluster has: kafka/topics.yml, written from what is there. */
import type { ConfigValue } from '../kafka/topic-requests.mts'
import { DURATION, HOURS } from './file.mts'
import type { ActualTopic } from './plan.mts'

const HOUR_MS = 3_600_000
const FIELDS = new Map<string, string>(HOURS.map(([field, key]) => [key, field]))

/**
 * A declaration of these topics, of which a plan is empty. Values of the topics themselves are declared; those of the broker stand in a
 * comment, since declaring them would keep them from following the broker's.
 */
export function renderTopicsFile(topics: readonly ActualTopic[], clusterId: string): string {
  const sorted = topics.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const lines = [
    `# The topics of Kafka cluster ${clusterId}, as they are. \`./scripts/create-topics.mts --file\` with this file has nothing to do there.`,
    '# What producers key the records by is not known to Kafka: add it as `key: symbol` where a topic has a key.',
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
    "# Left out, because they are the broker's defaults where a topic does not declare them:",
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

/** A value in hours, where hours with three digits after the point say it exactly. */
function hoursOf(key: string, { value }: ConfigValue): string | undefined {
  const ms = Number(value)
  const hours = String(ms / HOUR_MS)
  const isExact = ms > 0 && /^\d+(\.\d{1,3})?$/.test(hours) && Math.round(Number(hours) * HOUR_MS) === ms
  return FIELDS.has(key) && isExact && Number(hours) <= DURATION.max ? hours : undefined
}

/** A text as a scalar of YAML in which no variable begins; plain where it can only be read as itself. */
function text(value: string): string {
  if (/^-?\w[\w.-]*$/.test(value) && !/^null$/i.test(value)) return value
  return JSON.stringify(value.replaceAll('$', '$$$$'))
}
