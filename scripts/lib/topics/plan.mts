/** Compares the declared topics with the cluster's: what to create, grow and configure, and what cannot be changed. */
import type { ConfigValue } from '../kafka/topic-requests.mts'
import { type DeclaredTopic, MIN_IN_SYNC } from './file.mts'

export interface ActualTopic {
  name: string
  partitions: number
  /** The number of replicas of the partition that has the fewest. */
  replication: number
  /** The number of partitions without a leader, which can be neither written nor read. */
  leaderless: number
  config: ReadonlyMap<string, ConfigValue>
}

export interface ConfigChange {
  key: string
  /** The current value as text, with the broker's defaults marked. */
  from: string
  to: string
}

const DEFAULT = ' (default)'

/** Returns the value of a key before a change. */
export const valueBefore = ({ from }: ConfigChange): string => from.replace(DEFAULT, '')

export interface TopicPlan {
  create: DeclaredTopic[]
  grow: { topic: DeclaredTopic; from: number }[]
  configure: { topic: DeclaredTopic; changes: ConfigChange[] }[]
  /** Differences that Kafka cannot change in place, or only with a rebalance; `later` changes wait for the rebalance. */
  impossible: {
    topic: DeclaredTopic
    what: 'partitions' | 'replication'
    from: number
    later?: ConfigChange[]
  }[]
  /** Topics in the cluster that are not declared. They are left alone. */
  undeclared: string[]
}

/** Returns the plan that makes the `actual` topics, without Kafka's internal ones, match `declared`. */
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
    const all = Object.entries(topic.config).flatMap(([key, to]): ConfigChange[] => {
      const now = found.config.get(key)
      if (now?.own && sameValue(now.value ?? '', to)) return []
      return [{ key, from: now ? `${now.value ?? ''}${now.own ? '' : DEFAULT}` : 'nothing', to }]
    })
    // While a topic has fewer replicas than min.insync.replicas, older brokers reject records sent with acks=all.
    const later = all.filter(({ key, to }) => key === MIN_IN_SYNC && Number(to) > replication)
    const changes = all.filter((change) => !later.includes(change))
    if (replication !== topic.replication) {
      const difference = { topic, what: 'replication' as const, from: replication }
      plan.impossible.push(later.length > 0 ? { ...difference, later } : difference)
    }
    if (changes.length > 0) plan.configure.push({ topic, changes })
  }
  const names = new Set(declared.map(({ name }) => name))
  plan.undeclared = actual
    .map(({ name }) => name)
    .filter((name) => !names.has(name))
    .sort()
  return plan
}

/** Returns the part of a plan that concerns the named topics; all of it if there are no names. */
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

/** Returns the plan to show with a rebalance, which changes the replication and is followed by the changes that wait for it. */
export function withRebalance(plan: TopicPlan): TopicPlan {
  const waiting = plan.impossible.flatMap(({ topic, later }) => (later ? [{ topic, changes: later }] : []))
  return {
    ...plan,
    configure: [...plan.configure, ...waiting],
    impossible: plan.impossible.filter(({ what }) => what !== 'replication'),
  }
}

/** Returns the part of `now` that configures the topics whose changes had to wait for a rebalance in `before`. */
export function laterPlan(before: TopicPlan, now: TopicPlan): TopicPlan {
  const waited = before.impossible.filter(({ later }) => later).map(({ topic }) => topic.name)
  const configure = now.configure.filter(({ topic }) => waited.includes(topic.name))
  return { create: [], grow: [], configure, impossible: [], undeclared: [] }
}

/** Returns a plan without the changes that make the broker delete records. */
export function withoutShortening(plan: TopicPlan): TopicPlan {
  const kept = plan.configure.map(({ topic, changes }) => ({
    topic,
    changes: changes.filter((each) => !deletes(each)),
  }))
  return { ...plan, configure: kept.filter(({ changes }) => changes.length > 0) }
}

/** Describes which records a configuration change makes the broker delete; undefined for none. */
export function deletes(change: ConfigChange): string | undefined {
  const { key, to } = change
  if (key === CLEANUP_POLICY) return deletesByPolicy(valueBefore(change), to)
  // Negative values mean unlimited.
  const [before = Number.NaN, after = Number.NaN] = [valueBefore(change), to].map((value) => {
    const number = Number.parseInt(value, 10)
    return number < 0 ? Number.POSITIVE_INFINITY : number
  })
  if (!(after < before)) return undefined
  if (key === 'retention.ms') return `records older than ${hours(after)} (was ${hours(before)})`
  if (key === 'retention.bytes') return `the oldest records beyond ${after} B per partition (was ${bytes(before)})`
  return undefined
}

/** The key that sets how the broker discards records: `delete` by age and size, `compact` by key, or both. */
export const CLEANUP_POLICY = 'cleanup.policy'

/** @see org.apache.kafka.storage.internals.log.LogConfig, and kafka.log.Cleaner, which drops records without a key (3.9) */
function deletesByPolicy(from: string, to: string): string | undefined {
  const [before = [], after = []] = [from, to].map((value) => value.split(',').map((policy) => policy.trim()))
  const added = (policy: string) => after.includes(policy) && !before.includes(policy)
  const losses = [
    ...(added('delete') ? ['records beyond retention.ms and retention.bytes, including the latest of each key'] : []),
    ...(added('compact') ? ['records superseded by a newer one with the same key, and records without a key'] : []),
  ]
  return losses.length > 0 ? `${losses.join(', and ')} (cleanup.policy was ${from})` : undefined
}

/** With two significant digits below an hour, so that short times do not become 0. */
const hours = (ms: number): string =>
  ms === Number.POSITIVE_INFINITY ? 'unlimited' : `${Number((ms / 3_600_000).toPrecision(ms < 3_600_000 ? 2 : 6))} h`
const bytes = (count: number): string => (count === Number.POSITIVE_INFINITY ? 'unlimited' : `${count} B`)

/** Returns the topics that the plan would change, by name. */
export const changedTopics = ({ create, grow, configure }: TopicPlan): ReadonlyMap<string, DeclaredTopic> =>
  new Map([...create, ...[...grow, ...configure].map(({ topic }) => topic)].map((topic) => [topic.name, topic]))

/**
 * Whether Kafka parses two texts as the same value: it trims list items, ignores the case of booleans, and normalizes 0.50 to 0.5.
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
