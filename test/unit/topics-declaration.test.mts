import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ConfigValue } from '../../scripts/lib/kafka/topic-requests.mts'
import { readSettings } from '../../scripts/lib/settings/settings.mts'
import { renderTopicsFile } from '../../scripts/lib/topics/declaration.mts'
import { parseTopicsFile } from '../../scripts/lib/topics/file.mts'
import { type ActualTopic, planTopics } from '../../scripts/lib/topics/plan.mts'

const settings = readSettings({})

const actual = (
  name: string,
  own: Record<string, string> = {},
  defaults: Record<string, string | null> = {},
): ActualTopic => ({
  name,
  partitions: 3,
  replication: 2,
  leaderless: 0,
  config: new Map<string, ConfigValue>([
    ...Object.entries(own).map(([key, value]) => [key, { value, own: true }] as const),
    ...Object.entries(defaults).map(([key, value]) => [key, { value, own: false }] as const),
  ]),
})

/** Parses the rendered declaration of these topics. */
function readBack(...topics: ActualTopic[]) {
  const { topics: declared, mistakes } = parseTopicsFile(renderTopicsFile(topics, 'c'), 'file', settings)
  assert.equal(mistakes, [])
  return declared
}

const declaration = suite('renderTopicsFile')

declaration('declares the configuration set on topics, and lists what they inherit from the broker', () => {
  const own = {
    'retention.ms': '86400000',
    'segment.ms': '5400000',
    'compression.type': 'lz4',
    'max.message.bytes': '4096',
  }
  const defaults = { 'cleanup.policy': 'delete', 'retention.bytes': '-1', secret: null }
  const topics = [actual('b.raw', own, defaults), actual('a', {}, { ...defaults, 'compression.type': 'producer' })]
  assert.is(
    renderTopicsFile(topics, 'c1'),
    `# The current topics of Kafka cluster c1. Applying this file with \`./scripts/create-topics.mts --file\` changes nothing there.
# Kafka does not know what producers key their records by: for keyed topics, add it, for example \`key: symbol\`.
# Not declared: the broker's defaults, which apply to topics that do not set these keys:
#   cleanup.policy: delete
#   compression.type: producer
#   retention.bytes: -1
topics:
  - name: a
    partitions: 3
    replication: 2

  - name: b.raw
    partitions: 3
    replication: 2
    retentionHours: 24
    segmentHours: 1.5
    config:
      compression.type: lz4
      max.message.bytes: 4096
`,
  )
})

declaration('of no topics declares none', () => {
  assert.equal(readBack(), [])
})

const NAMES = [
  'null',
  'Null',
  'true',
  'yes',
  '1',
  '1e3',
  '0x10',
  '-',
  '-a',
  '--',
  '.a',
  '_',
  'a.b-c_d',
  '1.0',
  '2026-11-23',
  'x'.repeat(249),
]
for (const name of NAMES) {
  declaration(`keeps the name ${name.slice(0, 20)}`, () => {
    assert.equal(
      readBack(actual(name)).map((topic) => topic.name),
      [name],
    )
  })
}

const VALUES = [
  '',
  ' ',
  'null',
  '~',
  '-1',
  '0.50',
  'compact,delete',
  '0:1,1:1',
  '*',
  '${KAFKA_BOOTSTRAP_SERVERS}',
  '$$HOME',
  'a: b # c',
  '- x',
  '"quoted" \\ \'too\'',
  'zwei\nzeilen\t',
  '{a: 1}',
  '\u0000\u2028é🚀',
]
for (const value of VALUES) {
  declaration(`keeps the value ${JSON.stringify(value)}`, () => {
    const [topic] = readBack(actual('t', { 'some.key': value }))
    assert.equal(topic?.config, { 'some.key': value })
  })
}

const TIMES = [
  '1',
  '3599999',
  '3600',
  '3600000',
  '36000',
  '5400000',
  '86400000',
  '604800000',
  '3153600000000',
  '3153600000001',
  '-1',
  '0',
  '9223372036854775807',
]
for (const ms of TIMES) {
  declaration(`keeps ${ms} ms`, () => {
    const config = { 'retention.ms': ms, 'segment.ms': ms }
    assert.equal(readBack(actual('t', config))[0]?.config, config)
  })
}

declaration('leaves an empty plan', () => {
  const topics = NAMES.slice(0, 8).map((name, index) =>
    actual(name, { 'retention.ms': `${index}`, 'min.insync.replicas': '1' }),
  )
  const plan = planTopics(readBack(...topics), topics)
  assert.equal(plan, { create: [], grow: [], configure: [], impossible: [], undeclared: [] })
})

declaration.run()
