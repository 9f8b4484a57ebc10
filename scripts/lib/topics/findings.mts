/** Turns a topic plan into findings. */
import { error, type Finding, warning } from '../common/findings.mts'
import type { DeclaredTopic } from './file.mts'
import { createCommand, fileFlag, rebalanceCommand } from './hint.mts'
import { CLEANUP_POLICY, deletes, type TopicPlan, valueBefore } from './plan.mts'

/** Describes partitions, replication and configuration in one line. */
export function describeTopic({ partitions, replication, config }: DeclaredTopic): string {
  const settings = Object.entries(config).map(([key, value]) => `${key}=${value}`)
  return [`${partitions} partitions`, `replication ${replication}`, ...settings].join(', ')
}

/**
 * Returns a finding for each difference from the declaration; an undeclared topic is not one.
 * @param file path of the declaration, for the hints, if not kafka/topics.yml
 */
export function planFindings(plan: TopicPlan, file?: string): Finding[] {
  const hint = (name: string) => createCommand(name, file)
  return [
    ...plan.create.map((topic) => {
      const { name } = topic
      return error('TOPIC_MISSING', name, { found: 'no such topic', expected: describeTopic(topic), hint: hint(name) })
    }),
    ...plan.grow.map(({ topic: { name, partitions }, from }) =>
      error('TOPIC_PARTITIONS', name, { found: `${from} partitions`, expected: `${partitions}`, hint: hint(name) }),
    ),
    ...plan.configure.flatMap(({ topic: { name }, changes }) =>
      changes.map(({ key, from, to }) =>
        error('TOPIC_CONFIG', `${name} ${key}`, { found: from, expected: to, hint: hint(name) }),
      ),
    ),
    ...impossibleFindings(plan, file),
  ]
}

/** Returns a finding for each difference that Kafka cannot change, with the alternatives. */
export function impossibleFindings(plan: TopicPlan, file?: string): Finding[] {
  return plan.impossible.map(({ topic, what, from }) => {
    const partitions = what === 'partitions'
    const command = partitions
      ? `./scripts/reset-kafka.mts --only ${topic.name}${fileFlag(file)} (deletes its records)`
      : rebalanceCommand([topic.name], file)
    return error(partitions ? 'TOPIC_CANNOT_SHRINK' : 'TOPIC_REPLICATION', topic.name, {
      found: partitions ? `${from} partitions, which Kafka cannot reduce` : `replication ${from}`,
      expected: `${what}: ${topic[what]} (${topic.at[what]})`,
      hint: `set "${what}: ${from}" there, or ${command}`,
    })
  })
}

/** Returns a warning for each keyed topic that the plan grows. */
export function growthWarnings(plan: TopicPlan): Finding[] {
  return plan.grow
    .filter(({ topic }) => topic.key !== undefined)
    .map(({ topic, from }) =>
      warning('TOPIC_KEYS_MOVE', topic.name, {
        found: `growing from ${from} to ${topic.partitions} partitions moves keys to other partitions, so records of one ${topic.key} may be out of order for a while`,
        hint: 'stop its producers and let its consumers catch up before growing the topic',
      }),
    )
}

/**
 * Returns a warning for each configuration change that makes the broker delete records.
 * @param done whether the change is made, not only planned
 */
export function shorteningWarnings(plan: TopicPlan, done = false, file?: string): Finding[] {
  return plan.configure.flatMap(({ topic, changes }) =>
    changes.flatMap((change): Finding[] => {
      const loss = deletes(change)
      if (!loss) return []
      const { key, from, to } = change
      const isPolicy = key === CLEANUP_POLICY
      const declare = `declare ${key}: ${valueBefore(change)} (${topic.at[key]})`
      return [
        warning(isPolicy ? 'TOPIC_CLEANUP_POLICY' : 'TOPIC_RETENTION_SHORTER', `${topic.name} ${key}`, {
          found: done
            ? `${isPolicy ? 'changed' : 'shortened'} from ${from} to ${to}: the broker deletes ${loss}`
            : `${from}; with ${to} the broker deletes ${loss}`,
          hint: done
            ? `to keep the records that the broker has not deleted yet, ${declare} and run it again`
            : `${createCommand(topic.name, file)} (deletes them), or ${declare}`,
        }),
      ]
    }),
  )
}
