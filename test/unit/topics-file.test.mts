import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readSettings } from '../../scripts/lib/settings/settings.mts'
import { metricName, parseTopicsFile, readDeclaredTopics } from '../../scripts/lib/topics/file.mts'

const settings = { ...readSettings({}), KAFKA_LOG_RETENTION_HOURS: 36, REDIS_PASSWORD: 'hunter2' }
const parse = (content: string) => parseTopicsFile(content, 'topics.yml', settings)

/** Returns errors as `line:column code: found`, short enough to list completely. */
const mistakesOf = (content: string) =>
  parse(content).mistakes.map(({ code, subject, found }) => {
    const [, position] = /^topics\.yml:(\d+:\d+)/.exec(subject) ?? []
    return `${position} ${code}: ${found}`
  })

const SOUND = `topics:
  - name: raw.ticks
    partitions: 3
    replication: 1
    key: symbol
    retentionHours: \${KAFKA_LOG_RETENTION_HOURS}
    segmentHours: 0.5
    config: { compression.type: lz4, max.message.bytes: 2097152 }
`

const parses = suite('parseTopicsFile')

parses('returns a topic with Kafka’s own keys, its settings resolved, and positions', () => {
  assert.equal(parse(SOUND), {
    topics: [
      {
        name: 'raw.ticks',
        partitions: 3,
        replication: 1,
        key: 'symbol',
        config: {
          'retention.ms': '129600000',
          'segment.ms': '1800000',
          'compression.type': 'lz4',
          'max.message.bytes': '2097152',
        },
        at: {
          name: 'topics.yml:2:11',
          partitions: 'topics.yml:3:17',
          replication: 'topics.yml:4:18',
          'retention.ms': 'topics.yml:6:21',
          'segment.ms': 'topics.yml:7:19',
          'compression.type': 'topics.yml:8:15',
          'max.message.bytes': 'topics.yml:8:38',
        },
      },
    ],
    mistakes: [],
  })
})

parses('passes configuration on as written, for Kafka to read', () => {
  const { topics } = parse(SOUND.replace('2097152 }', '010, a: 1e3, b: "x, y", c: on, d: -1 }'))
  const { 'max.message.bytes': octal, a, b, c, d } = topics[0]?.config ?? {}
  assert.equal([octal, a, b, c, d], ['010', '1e3', 'x, y', 'on', '-1'])
})

parses('takes the replication from the settings, unless a topic has its own, and leaves 1 to the broker', () => {
  const content = `topics:
  - name: a
    partitions: 1
    replication: \${KAFKA_REPLICATION_FACTOR}
    minInsyncReplicas: \${KAFKA_MIN_INSYNC_REPLICAS}
  - { name: b, partitions: 1, replication: 2, minInsyncReplicas: 1 }
`
  const of = (copies: number, inSync: number) => {
    const own = { ...settings, KAFKA_REPLICATION_FACTOR: copies, KAFKA_MIN_INSYNC_REPLICAS: inSync }
    const { topics, mistakes } = parseTopicsFile(content, 'topics.yml', own)
    return [...topics.map(({ replication, config }) => [replication, config]), mistakes.length]
  }
  assert.equal(of(3, 2), [[3, { 'min.insync.replicas': '2' }], [2, {}], 0])
  assert.equal(of(1, 1), [[1, {}], [2, {}], 0])
})

parses('reports more in-sync replicas than replicas, however they are declared', () => {
  const content = `topics:
  - { name: a, partitions: 1, replication: 1, minInsyncReplicas: 2 }
  - { name: b, partitions: 1, replication: 2, config: { min.insync.replicas: 3 } }
  - { name: c, partitions: 1, replication: 2, minInsyncReplicas: 2, config: { min.insync.replicas: 2 } }
`
  assert.equal(mistakesOf(content), [
    '2:66 TOPIC_MIN_IN_SYNC: 2',
    '3:57 TOPIC_MIN_IN_SYNC: 3',
    '4:79 TOPIC_TWICE: both min.insync.replicas and minInsyncReplicas',
  ])
})

parses('reads configuration from an anchor', () => {
  const content = `${SOUND.replace('config: {', 'config: &common {')}  - { name: b, partitions: 1, replication: 1, config: *common }\n`
  const { topics, mistakes } = parse(content)
  assert.equal(mistakes, [])
  assert.equal(topics[1]?.config, { 'compression.type': 'lz4', 'max.message.bytes': '2097152' })
})

parses('names every mistake at once, each with its line and column', () => {
  const content = `topics:
  - name: bad name!
    partitions: ten
    replication: 0
    retentionHours: -1
    colour: red
    config: { retention.ms: 5, cleanup.policy: [delete], flush.ms: }
  - partitions: 1.5
    replication: 1
  - name: __consumer_offsets
    partitions: 20000
    replication: 1
    config: none
  - just text
surplus: true
`
  assert.equal(mistakesOf(content), [
    '15:1 YAML_KEY: unknown key "surplus"',
    '6:5 YAML_KEY: unknown key "colour"',
    '2:11 TOPIC_NAME: "bad name!"',
    '3:17 YAML_VALUE: "ten"',
    '4:18 YAML_VALUE: "0"',
    '5:21 YAML_VALUE: "-1"',
    '7:15 TOPIC_TWICE: both retention.ms and retentionHours',
    '7:32 YAML_TYPE: a list',
    '7:58 YAML_TYPE: nothing',
    '8:5 YAML_MISSING: no name',
    '8:17 YAML_VALUE: "1.5"',
    '10:11 TOPIC_NAME: "__consumer_offsets", which is reserved by Kafka',
    '11:17 YAML_VALUE: "20000"',
    '13:13 YAML_TYPE: a single value',
    '14:5 YAML_TYPE: a single value',
  ])
})

parses('finds duplicate names, and names that Kafka’s metrics cannot tell apart, despite other mistakes', () => {
  const topic = (name: string, partitions: string) =>
    `  - { name: ${name}, partitions: ${partitions}, replication: 1 }\n`
  const content = `topics:\n${topic('a.b', '1')}${topic('a.b', 'x')}${topic('c', '1')}${topic('a_b', '1')}`
  assert.equal(mistakesOf(content), [
    '3:30 YAML_VALUE: "x"',
    '3:13 TOPIC_TWICE: a second "a.b"',
    '5:13 TOPIC_COLLISION: "a_b", which has the metric name of "a.b"',
  ])
})

parses('applies Kafka’s rule for names', () => {
  const wrong = (name: string) => mistakesOf(SOUND.replace('raw.ticks', JSON.stringify(name))).length > 0
  const refused = ['', '.', '..', 'a b', 'ä', 'a/b', 'x'.repeat(250)].map(wrong)
  const accepted = ['...', 'a', '_', '-', 'A.b_c-9', 'x'.repeat(249)].map(wrong)
  assert.equal(refused, Array(7).fill(true))
  assert.equal(accepted, Array(6).fill(false))
})

parses('accepts a value as long as Kafka does, and no longer', () => {
  const content = (bytes: number) => SOUND.replace('lz4', 'x'.repeat(bytes))
  assert.equal(mistakesOf(content(32_767)), [])
  const [mistake, ...more] = mistakesOf(content(32_768))
  assert.match(mistake ?? '', / YAML_VALUE: 32768 bytes$/)
  assert.equal(more, [])
})

parses('accepts numbers up to their bounds and nothing beyond', () => {
  const wrong = (from: string, to: string) => mistakesOf(SOUND.replace(from, to)).length
  const partitions = (text: string) => wrong('partitions: 3', `partitions: ${text}`)
  assert.equal(['1', '10000', '0', '10001', '0x10', '3.0', '"3"', '1e1'].map(partitions), [0, 0, 1, 1, 1, 1, 0, 1])
  const hours = (text: string) => wrong('segmentHours: 0.5', `segmentHours: ${text}`)
  assert.equal(['0.001', '876000', '0', '876001', '24h', '.5'].map(hours), [0, 0, 1, 1, 1, 1])
})

parses('refuses a variable that is not a setting, and every password', () => {
  const variable = (text: string) => mistakesOf(SOUND.replace('lz4', text))
  assert.equal(variable('"${NO_SUCH}"'), ['8:15 YAML_VARIABLE: ${NO_SUCH}'])
  assert.equal(variable('"${REDIS_PASSWORD}"'), ['8:15 YAML_VARIABLE: ${REDIS_PASSWORD}'])
  assert.equal(variable('"${toString}"'), ['8:15 YAML_VARIABLE: ${toString}'])
  assert.equal(variable('"${NAME"'), ['8:15 YAML_VARIABLE: an unclosed "${"'])
})

parses('reports where the YAML itself is invalid', () => {
  assert.equal(
    mistakesOf('topics: [\n').map((line) => line.slice(0, 9)),
    ['2:1 YAML:'],
  )
  assert.equal(mistakesOf(SOUND.replace('key: symbol', 'partitions: 4')), ['5:5 YAML: Map keys must be unique'])
})

parses('repeats no text that it cannot place', () => {
  const found = (text: string) =>
    mistakesOf(SOUND.replace('{ compression.type: lz4, max.message.bytes: 2097152 }', text))
  assert.equal(found('S3cr3t'), ['8:13 YAML_TYPE: a single value'])
  assert.equal(found('[S3cr3t'), [
    '9:1 YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
  ])
  assert.equal(found('{ a: "${S3cr3t x}" }'), ['8:15 YAML_VARIABLE: a "${" without a valid variable name'])
  assert.equal(found('{ a: "${NAME:?S3cr3t}" }'), ['8:15 YAML_VARIABLE: ${NAME}'])
  assert.equal(found('{ a: "${KAFKA_HEAP+${NAME?S3cr3t}}" }'), ['8:15 YAML_VARIABLE: ${NAME}'])
})

parses('accepts only scalar keys, each once', () => {
  const config = (text: string) =>
    mistakesOf(SOUND.replace('{ compression.type: lz4, max.message.bytes: 2097152 }', text))
  assert.equal(config('{ [a]: 1, {b: c}: 2 }'), ['8:15 YAML_KEY: a list as a key', '8:23 YAML_KEY: a mapping as a key'])
  assert.equal(config('{ a: 1, b: 2, "a": 3 }'), ['8:27 YAML: Map keys must be unique'])
})

parses('resolves an alias to the last definition of its anchor', () => {
  const topics = [
    '{ name: &n a, partitions: 1, replication: 1 }',
    '{ name: &n b, partitions: 1, replication: 1, key: *n }',
  ]
  const content = `topics:\n  - ${topics.join('\n  - ')}\n`
  assert.equal(
    parse(content).topics.map(({ key }) => key),
    [undefined, 'b'],
  )
  assert.equal(mistakesOf(`${SOUND}  - *none\n`), ['9:5 YAML: an alias without an anchor before it'])
})

parses('ignores x-… at the top, and applies <<', () => {
  const { topics, mistakes } = parse(`x-defaults: &lz4 { compression.type: lz4 }
x-topic: &topic { partitions: 3, replication: 1, config: *lz4 }
topics:
  - { <<: *topic, name: a }
  - &b
    name: b
    partitions: 7
    <<: [*topic, { retentionHours: 1, partitions: 9 }]
  - { <<: *b, name: c }
`)
  assert.equal(mistakes, [])
  assert.equal(
    topics.map(({ name, partitions, replication, config }) => ({ name, partitions, replication, config })),
    [
      { name: 'a', partitions: 3, replication: 1, config: { 'compression.type': 'lz4' } },
      ...['b', 'c'].map((name) => ({
        name,
        partitions: 7,
        replication: 1,
        config: { 'compression.type': 'lz4', 'retention.ms': '3600000' },
      })),
    ],
  )
  assert.equal(topics[0]?.at, {
    name: 'topics.yml:4:25',
    partitions: 'topics.yml:2:31',
    replication: 'topics.yml:2:47',
    'compression.type': 'topics.yml:1:20',
  })
  assert.equal(mistakesOf('topics:\n  - &a { <<: *a, name: a, partitions: 1, replication: 1 }\n'), [])
  assert.equal(mistakesOf('y-a: 1\ntopics:\n  - { <<: 5, name: a, partitions: 1, replication: 1 }\n'), [
    '1:1 YAML_KEY: unknown key "y-a"',
    '3:7 YAML_TYPE: a single value',
  ])
})

parses('requires a list of topics', () => {
  assert.equal(mistakesOf(''), ['1:1 YAML_TYPE: nothing'])
  assert.equal(mistakesOf('{}'), ['1:1 YAML_MISSING: no topics'])
  assert.equal(mistakesOf('topics: 5'), ['1:1 YAML_TYPE: a single value'])
  assert.equal(mistakesOf('topics: []'), [])
})

parses.run()

const reads = suite('readDeclaredTopics')

reads('returns the five shipped topics, following KAFKA_LOG_RETENTION_HOURS', () => {
  const declared = readDeclaredTopics(settings).map(({ name, partitions, replication, key, config }) => {
    return [
      name,
      partitions,
      replication,
      key,
      config['retention.ms'],
      config['segment.ms'],
      config['compression.type'],
    ]
  })
  assert.equal(declared, [
    ['iqfeed.l2.raw', 10, 1, 'symbol', '129600000', '3600000', 'lz4'],
    ['iqfeed.trades.raw', 10, 1, 'symbol', '129600000', '3600000', 'lz4'],
    ['iqfeed.quotes.raw', 10, 1, 'symbol', '129600000', '3600000', 'lz4'],
    ['trading.signals', 5, 1, 'symbol', '129600000', undefined, 'lz4'],
    ['market.features', 5, 1, 'symbol', '129600000', undefined, 'lz4'],
  ])
})

reads('reports a file that cannot be read', () => {
  assert.throws(() => readDeclaredTopics(settings, '/no/such.yml'), /^\/no\/such\.yml: cannot be read: no such file$/)
})

reads.run()

const metric = suite('metricName')

metric('is the same for names that differ in "." and "_" only', () => {
  assert.is(metricName('a.b_c'), metricName('a_b.c'))
  assert.is.not(metricName('a.b'), metricName('a-b'))
})

metric.run()
