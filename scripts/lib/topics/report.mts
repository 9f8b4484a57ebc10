/** A plan for topics as people read it, and as findings. */
import type { Finding, Paint } from '../common/findings.mts'
import { type DeclaredTopic, fileFlag } from './file.mts'
import { CLEANUP_POLICY, deletes, type TopicPlan, valueBefore } from './plan.mts'

/** A plan for people: a line for each change and each topic left alone. */
export function renderPlan(plan: TopicPlan, paint: Paint): string {
  const lines = [
    ...plan.create.map((topic): Line => ['green', '+ create', topic.name, describeTopic(topic)]),
    ...plan.grow.map(({ topic, from }): Line => {
      return ['yellow', '^ grow', topic.name, `${from} → ${topic.partitions} partitions`]
    }),
    ...plan.configure.flatMap(({ topic, changes }) =>
      changes.map((change): Line => {
        const { key, from, to } = change
        const loss = deletes(change)
        return [
          'yellow',
          '~ configure',
          topic.name,
          `${key}: ${from} → ${to}${loss ? `; the broker deletes ${loss}` : ''}`,
        ]
      }),
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

/** The command that makes one topic what a declaration says; without `file` that of the repository. */
export const createCommand = (name: string, file: string | undefined): string =>
  `./scripts/create-topics.mts --only ${name}${fileFlag(file)}`

/**
 * How the cluster differs from the declaration, as findings. A topic that is not declared is none.
 * @param file path of the declaration, for the hints, if it is another than kafka/topics.yml
 */
export function planFindings(plan: TopicPlan, file?: string): Finding[] {
  const mend = (name: string) => createCommand(name, file)
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
    ...impossibleFindings(plan, file),
  ]
}

/** What of a plan Kafka cannot do, with the way out. */
export function impossibleFindings(plan: TopicPlan, file?: string): Finding[] {
  return plan.impossible.map(({ topic, what, from }) => {
    const partitions = what === 'partitions'
    const wayOut = partitions
      ? `./scripts/reset-kafka.mts --only ${topic.name}${fileFlag(file)} (its records are lost)`
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

/** A warning for each change of configuration upon which the broker deletes records; `done` when it is made. */
export function shorteningWarnings(plan: TopicPlan, done = false, file?: string): Finding[] {
  return plan.configure.flatMap(({ topic, changes }) =>
    changes.flatMap((change): Finding[] => {
      const loss = deletes(change)
      if (!loss) return []
      const { key, from, to } = change
      const isPolicy = key === CLEANUP_POLICY
      const declare = `declare ${key}: ${valueBefore(change)} (${topic.at[key]})`
      const hint = done
        ? `to keep what the broker has not deleted yet, ${declare} and run it again`
        : `${createCommand(topic.name, file)} (deletes them), or ${declare}`
      return [
        {
          severity: 'warning',
          code: isPolicy ? 'TOPIC_CLEANUP_POLICY' : 'TOPIC_RETENTION_SHORTER',
          subject: `${topic.name} ${key}`,
          found: done
            ? `${isPolicy ? 'changed' : 'shortened'} from ${from}: the broker deletes ${loss}`
            : `${from}; upon ${to} the broker deletes ${loss}`,
          expected: to,
          hint,
        },
      ]
    }),
  )
}
