/** Compares the declared topics with those of the cluster: what to create, grow, configure, and what cannot be changed. */
import type { Finding, Paint } from './findings.mts'
import type { ConfigValue } from './topic-requests.mts'
import type { DeclaredTopic } from './topics-file.mts'

export interface ActualTopic {
  name: string
  /** New for every topic made. */
  id: string
  partitions: number
  /** Of the partition that has the fewest copies. */
  replication: number
  /** Partitions without a leader: nothing can be written to or read from them. */
  leaderless: number
  config: ReadonlyMap<string, ConfigValue>
}

export interface ConfigChange {
  key: string
  /** As people read it, a value of the broker's marked as its default. */
  from: string
  to: string
}

export interface TopicPlan {
  create: DeclaredTopic[]
  grow: { topic: DeclaredTopic; from: number }[]
  configure: { topic: DeclaredTopic; changes: ConfigChange[] }[]
  /** What Kafka cannot do to a topic that holds records. */
  impossible: { topic: DeclaredTopic; what: 'partitions' | 'replication'; from: number }[]
  /** Topics of the cluster that the file does not name. They are left alone. */
  undeclared: string[]
}

/** The plan that makes `actual` what `declared` says; `actual` without Kafka's internal topics. */
export function planTopics(declared: readonly DeclaredTopic[], actual: readonly ActualTopic[]): TopicPlan {
  const plan: TopicPlan = { create: [], grow: [], configure: [], impossible: [], undeclared: [] }
  for (const topic of declared) {
    const found = actual.find(({ name }) => name === topic.name)
    if (!found) {
      plan.create.push(topic)
      continue
    }
    const { partitions, replication } = found
    if (partitions < topic.partitions) plan.grow.push({ topic, from: partitions })
    if (partitions > topic.partitions) plan.impossible.push({ topic, what: 'partitions', from: partitions })
    if (replication !== topic.replication) plan.impossible.push({ topic, what: 'replication', from: replication })
    const changes = Object.entries(topic.config).flatMap(([key, to]): ConfigChange[] => {
      const now = found.config.get(key)
      if (now?.own && sameValue(now.value ?? '', to)) return []
      return [{ key, from: now ? `${now.value ?? ''}${now.own ? '' : ' (default)'}` : 'nothing', to }]
    })
    if (changes.length > 0) plan.configure.push({ topic, changes })
  }
  const names = new Set(declared.map(({ name }) => name))
  plan.undeclared = actual
    .map(({ name }) => name)
    .filter((name) => !names.has(name))
    .sort()
  return plan
}

/** The part of a plan that concerns the named topics; all of it for no names. */
export function narrowPlan(plan: TopicPlan, names: readonly string[]): TopicPlan {
  if (names.length === 0) return plan
  const concerns = (name: string) => names.includes(name)
  return {
    create: plan.create.filter(({ name }) => concerns(name)),
    grow: plan.grow.filter(({ topic }) => concerns(topic.name)),
    configure: plan.configure.filter(({ topic }) => concerns(topic.name)),
    impossible: plan.impossible.filter(({ topic }) => concerns(topic.name)),
    undeclared: [],
  }
}

/** How many topics the plan would change; what cannot be changed does not count. */
export function changeCount({ create, grow, configure }: TopicPlan): number {
  return new Set([...create, ...[...grow, ...configure].map(({ topic }) => topic)].map(({ name }) => name)).size
}

/**
 * Whether Kafka reads two texts as the same value: it trims lists, does not mind the case of booleans, and writes 0.50 as 0.5.
 * @see org.apache.kafka.common.config.ConfigDef.parseType (3.9)
 */
export function sameValue(left: string, right: string): boolean {
  const [a, b] = [left, right].map((value) =>
    value
      .split(',')
      .map((part) => part.trim())
      .map((part) => (/^(true|false)$/i.test(part) ? part.toLowerCase() : part))
      .join(),
  )
  return a === b || (isNumber(left) && isNumber(right) && Number(left) === Number(right))
}

const isNumber = (text: string): boolean => /^-?\d+(\.\d+)?$/.test(text.trim())

/** A plan for people: a line for each change and each topic left alone. */
export function renderPlan(plan: TopicPlan, paint: Paint): string {
  const lines = [
    ...plan.create.map((topic): Line => ['green', '+ create', topic.name, describeTopic(topic)]),
    ...plan.grow.map(({ topic, from }): Line => {
      return ['yellow', '^ grow', topic.name, `${from} → ${topic.partitions} partitions`]
    }),
    ...plan.configure.flatMap(({ topic, changes }) =>
      changes.map(({ key, from, to }): Line => ['yellow', '~ configure', topic.name, `${key}: ${from} → ${to}`]),
    ),
    ...plan.impossible.map(({ topic, what, from }): Line => {
      return ['red', '✗ cannot change', topic.name, `${what}: ${from} → ${topic[what]}`]
    }),
    ...plan.undeclared.map((name): Line => ['dim', '· not declared', name, 'left alone']),
  ]
  const width = Math.max(0, ...lines.map(([, , name]) => name.length))
  return lines
    .map(([style, action, name, what]) => `  ${paint(style, action.padEnd(15))}  ${name.padEnd(width)}  ${what}`)
    .join('\n')
}

type Line = [style: Parameters<Paint>[0], action: string, name: string, what: string]

/** Partitions, replication and configuration in one line. */
export function describeTopic({ partitions, replication, config }: DeclaredTopic): string {
  const settings = Object.entries(config).map(([key, value]) => `${key}=${value}`)
  return [`${partitions} partitions`, `replication ${replication}`, ...settings].join(', ')
}

/** How the cluster differs from the file, as findings. A topic that is not declared is none. */
export function planFindings(plan: TopicPlan): Finding[] {
  const mend = (name: string) => `./scripts/create-topics.mts --only ${name}`
  return [
    ...plan.create.map((topic): Finding => {
      const { name } = topic
      const [found, expected] = ['no such topic', describeTopic(topic)]
      return { severity: 'error', code: 'TOPIC_MISSING', subject: name, found, expected, hint: mend(name) }
    }),
    ...plan.grow.map(({ topic: { name, partitions }, from }): Finding => {
      const [found, expected] = [`${from} partitions`, `${partitions}`]
      return { severity: 'error', code: 'TOPIC_PARTITIONS', subject: name, found, expected, hint: mend(name) }
    }),
    ...plan.configure.flatMap(({ topic: { name }, changes }) =>
      changes.map(({ key, from, to }): Finding => {
        const subject = `${name} ${key}`
        return { severity: 'error', code: 'TOPIC_CONFIG', subject, found: from, expected: to, hint: mend(name) }
      }),
    ),
    ...impossibleFindings(plan),
  ]
}

/** What of a plan Kafka cannot do, with the way out. */
export function impossibleFindings(plan: TopicPlan): Finding[] {
  return plan.impossible.map(({ topic, what, from }) => {
    const partitions = what === 'partitions'
    const wayOut = partitions
      ? `./scripts/reset-kafka.mts --only ${topic.name} (its records are lost)`
      : 'kafka-reassign-partitions.sh'
    return {
      severity: 'error',
      code: partitions ? 'TOPIC_CANNOT_SHRINK' : 'TOPIC_REPLICATION',
      subject: topic.name,
      found: partitions ? `${from} partitions, and Kafka cannot take any away` : `replication ${from}`,
      expected: `${what}: ${topic[what]} (${topic.at[what]})`,
      hint: `write "${what}: ${from}" there, or ${wayOut}`,
    }
  })
}

/** A warning for each keyed topic that the plan grows. */
export function growthWarnings(plan: TopicPlan): Finding[] {
  return plan.grow
    .filter(({ topic }) => topic.key !== undefined)
    .map(({ topic, from }) => ({
      severity: 'warning',
      code: 'TOPIC_KEYS_MOVE',
      subject: topic.name,
      found: `growth from ${from} to ${topic.partitions} partitions, which moves keys to other partitions`,
      expected: `the records of one ${topic.key} in one partition, in order`,
      hint: 'stop its producers and let the consumers catch up before growing',
    }))
}
