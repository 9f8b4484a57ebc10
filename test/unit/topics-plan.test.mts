import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { DeclaredTopic } from '../../scripts/lib/topics/file.mts'
import { growthWarnings, planFindings, shorteningWarnings } from '../../scripts/lib/topics/findings.mts'
import {
  type ActualTopic,
  changedTopics,
  laterPlan,
  narrowPlan,
  planTopics,
  sameValue,
  type TopicPlan,
  withoutShortening,
  withRebalance,
} from '../../scripts/lib/topics/plan.mts'
import { renderPlan } from '../../scripts/lib/topics/report.mts'

const declare = (name: string, changes: Partial<DeclaredTopic> = {}): DeclaredTopic => ({
  name,
  partitions: 4,
  replication: 1,
  config: { 'retention.ms': '1000' },
  at: { partitions: 'topics.yml:3:5', replication: 'topics.yml:4:5' },
  ...changes,
})

const own = (value: string) => ({ value, own: true })

const actual = (name: string, changes: Partial<ActualTopic> = {}): ActualTopic => ({
  name,
  partitions: 4,
  replication: 1,
  leaderless: 0,
  config: new Map([['retention.ms', own('1000')]]),
  ...changes,
})

const NOTHING = { create: [], grow: [], configure: [], impossible: [], undeclared: [] }
const plain = (_: unknown, text: string) => text

const plans = suite('planTopics')

plans('has nothing to do for a topic as declared', () => {
  assert.equal(planTopics([declare('a')], [actual('a')]), NOTHING)
})

plans('creates a topic that is missing', () => {
  assert.equal(planTopics([declare('a')], []), { ...NOTHING, create: [declare('a')] })
})

plans('adds partitions to a topic that has fewer', () => {
  const topic = declare('a')
  assert.equal(planTopics([topic], [actual('a', { partitions: 3 })]), { ...NOTHING, grow: [{ topic, from: 3 }] })
})

plans('cannot remove partitions or change the replication factor', () => {
  const topic = declare('a')
  assert.equal(planTopics([topic], [actual('a', { partitions: 5, replication: 2 })]), {
    ...NOTHING,
    impossible: [
      { topic, what: 'partitions', from: 5 },
      { topic, what: 'replication', from: 2 },
    ],
  })
})

plans('defers more in-sync replicas than exist until a rebalance has created them', () => {
  const topic = declare('a', { replication: 3, config: { 'min.insync.replicas': '2' } })
  const later = [{ key: 'min.insync.replicas', from: '1 (default)', to: '2' }]
  const config = new Map([['min.insync.replicas', { value: '1', own: false }]])
  const before = planTopics([topic], [actual('a', { config })])
  const waits: TopicPlan = { ...NOTHING, impossible: [{ topic, what: 'replication', from: 1, later }] }
  assert.equal(before, waits)
  assert.equal(withRebalance(before), { ...NOTHING, configure: [{ topic, changes: later }] })
  const after = planTopics([topic, declare('b')], [actual('a', { config, replication: 3 })])
  assert.equal(laterPlan(before, after), { ...NOTHING, configure: [{ topic, changes: later }] })
  assert.is(
    renderPlan(before, plain),
    '  ✗ needs --rebalance  a  replication: 1 → 3, then min.insync.replicas: 1 (default) → 2',
  )
})

plans('sets a configuration key that differs, or that only the broker’s default matches', () => {
  const topic = declare('a')
  const other = actual('a', { config: new Map([['retention.ms', own('2000')]]) })
  const byDefault = actual('a', { config: new Map([['retention.ms', { value: '1000', own: false }]]) })
  const changes = (from: string) => [{ topic, changes: [{ key: 'retention.ms', from, to: '1000' }] }]
  assert.equal(planTopics([topic], [other]), { ...NOTHING, configure: changes('2000') })
  assert.equal(planTopics([topic], [byDefault]), { ...NOTHING, configure: changes('1000 (default)') })
  assert.equal(planTopics([topic], [actual('a', { config: new Map() })]), { ...NOTHING, configure: changes('nothing') })
})

plans('leaves an undeclared key and topic alone', () => {
  const config = new Map([
    ['retention.ms', own('1000')],
    ['max.message.bytes', own('5')],
  ])
  assert.equal(planTopics([declare('a')], [actual('a', { config }), actual('b')]), { ...NOTHING, undeclared: ['b'] })
})

plans.run()

const same = suite('sameValue')

same('reads values as Kafka does', () => {
  const pairs: [string, string][] = [
    ['lz4', 'lz4'],
    ['0.50', '0.5'],
    ['1000', '1000.0'],
    ['compact, delete', 'compact,delete'],
    ['TRUE', 'true'],
    [' 5', '5'],
  ]
  assert.equal(
    pairs.filter(([a, b]) => !sameValue(a, b)),
    [],
  )
})

same('distinguishes what Kafka distinguishes', () => {
  const pairs: [string, string][] = [
    ['lz4', 'LZ4'],
    ['compact,delete', 'delete,compact'],
    ['1', '10'],
    ['', '0'],
    ['1e3', '1000'],
  ]
  assert.equal(
    pairs.filter(([a, b]) => sameValue(a, b)),
    [],
  )
})

same.run()

const DRIFT = planTopics(
  [declare('new'), declare('small', { key: 'symbol' }), declare('late'), declare('big'), declare('copies')],
  [
    actual('small', { partitions: 2 }),
    actual('late', { config: new Map([['retention.ms', own('7')]]) }),
    actual('big', { partitions: 9 }),
    actual('copies', { replication: 3 }),
    actual('stranger'),
  ],
)

const shortening = suite('withoutShortening')
const HOUR = 3_600_000

/** Plans a topic whose retention.ms, and optionally another key, differ from the declaration. */
const retention = (from: string, to: string, more: Record<string, string> = {}) =>
  planTopics(
    [declare('a', { config: { 'retention.ms': to, 'compression.type': 'lz4', ...more } })],
    [
      actual('a', {
        config: new Map(
          Object.entries({ 'retention.ms': from, 'retention.bytes': '-1' }).map(([key, value]) => [key, own(value)]),
        ),
      }),
    ],
  )

shortening('leaves out a retention change that makes the broker delete records, and keeps the others', () => {
  const plan = withoutShortening(retention(`${168 * HOUR}`, `${24 * HOUR}`, { 'retention.bytes': '5' }))
  assert.equal(
    plan.configure.map(({ changes }) => changes.map(({ key }) => key)),
    [['compression.type']],
  )
  const longer = retention(`${24 * HOUR}`, `${168 * HOUR}`)
  assert.equal(withoutShortening(longer), longer)
  assert.equal(withoutShortening(retention('5000', '-1')), retention('5000', '-1'))
})

shortening('is a warning and in the plan, before and after, with the hours', () => {
  const plan = retention(`${168 * HOUR}`, `${24 * HOUR}`)
  const [before, ...more] = shorteningWarnings(plan)
  assert.equal(more, [])
  assert.equal(
    [before?.severity, before?.code, before?.subject, before?.found],
    [
      'warning',
      'TOPIC_RETENTION_SHORTER',
      'a retention.ms',
      '604800000; with 86400000 the broker deletes records older than 24 h (was 168 h)',
    ],
  )
  assert.match(before?.hint ?? '', './scripts/create-topics.mts --only a (deletes them)')
  assert.match(
    shorteningWarnings(plan, true)[0]?.found ?? '',
    'shortened from 604800000 to 86400000: the broker deletes records older than 24 h',
  )
  assert.match(renderPlan(plan, plain), /604800000 → 86400000; the broker deletes records older than 24 h/)
  assert.match(shorteningWarnings(retention('-1', '5400000'))[0]?.found ?? '', /older than 1\.5 h \(was unlimited\)/)
  assert.equal(shorteningWarnings(retention(`${24 * HOUR}`, `${168 * HOUR}`)), [])
})

/** Plans a topic whose cleanup.policy differs from the declaration. */
const policy = (from: string, to: string) =>
  planTopics(
    [declare('a', { config: { 'cleanup.policy': to }, at: { 'cleanup.policy': 'topics.yml:5:7' } })],
    [actual('a', { config: new Map([['cleanup.policy', own(from)]]) })],
  )

shortening('leaves out a cleanup.policy change that makes the broker delete records, and keeps the others', () => {
  const losing = ['compact > delete', 'compact > compact, delete', 'delete > compact', 'delete > compact,delete']
  const harmless = ['compact,delete > delete', 'delete, compact > compact', 'compact,delete > delete,compact']
  const kept = [...losing, ...harmless].filter((change) => {
    const plan = policy(...(change.split(' > ') as [string, string]))
    assert.is(plan.configure.length, 1, change)
    assert.is(shorteningWarnings(plan).length, losing.includes(change) ? 1 : 0, change)
    return withoutShortening(plan).configure.length > 0
  })
  assert.equal(kept, harmless)
})

shortening('names the records that a changed cleanup.policy loses, before and after', () => {
  const [before] = shorteningWarnings(policy('compact', 'delete'))
  const loss =
    'the broker deletes records beyond retention.ms and retention.bytes, including the latest of each key (cleanup.policy was compact)'
  assert.equal(
    [before?.severity, before?.code, before?.subject, before?.found],
    ['warning', 'TOPIC_CLEANUP_POLICY', 'a cleanup.policy', `compact; with delete ${loss}`],
  )
  assert.is(
    before?.hint,
    './scripts/create-topics.mts --only a (deletes them), or declare cleanup.policy: compact (topics.yml:5:7)',
  )
  assert.is(shorteningWarnings(policy('compact', 'delete'), true)[0]?.found, `changed from compact to delete: ${loss}`)
  assert.match(renderPlan(policy('compact', 'delete'), plain), `cleanup.policy: compact → delete; ${loss}`)
  const byDefault = planTopics(
    [declare('a', { config: { 'cleanup.policy': 'compact' } })],
    [actual('a', { config: new Map([['cleanup.policy', { value: 'delete', own: false }]]) })],
  )
  const [compacted] = shorteningWarnings(byDefault)
  assert.match(
    compacted?.found ?? '',
    'deletes records superseded by a newer one with the same key, and records without a key (cleanup.policy was delete)',
  )
  assert.match(compacted?.hint ?? '', 'declare cleanup.policy: delete (')
})

shortening.run()

const findings = suite('planFindings')

findings('reports every difference with found, expected and the fix', () => {
  const lines = planFindings(DRIFT).map(({ severity, code, subject, found, expected, hint }) => {
    return [severity, code, subject, found, expected, hint]
  })
  assert.equal(lines, [
    [
      'error',
      'TOPIC_MISSING',
      'new',
      'no such topic',
      '4 partitions, replication 1, retention.ms=1000',
      './scripts/create-topics.mts --only new',
    ],
    ['error', 'TOPIC_PARTITIONS', 'small', '2 partitions', '4', './scripts/create-topics.mts --only small'],
    ['error', 'TOPIC_CONFIG', 'late retention.ms', '7', '1000', './scripts/create-topics.mts --only late'],
    [
      'error',
      'TOPIC_CANNOT_SHRINK',
      'big',
      '9 partitions, which Kafka cannot reduce',
      'partitions: 4 (topics.yml:3:5)',
      'set "partitions: 9" there, or ./scripts/reset-kafka.mts --only big (deletes its records)',
    ],
    [
      'error',
      'TOPIC_REPLICATION',
      'copies',
      'replication 3',
      'replication: 1 (topics.yml:4:5)',
      'set "replication: 3" there, or ./scripts/create-topics.mts --rebalance --only copies',
    ],
  ])
})

findings('hints at the declaration that was compared, quoted for the shell', () => {
  const hints = (file: string) => [
    ...planFindings(DRIFT, file),
    ...shorteningWarnings(retention('-1', '5'), false, file),
  ]
  const inside = hints('kafka/other.yml').map(({ hint }) => hint)
  const outside = hints("/tmp/it's.yml").map(({ hint }) => hint)
  assert.equal(
    inside.filter((hint) => hint.includes('.mts')).map((hint) => / --file kafka\/other\.yml\b/.test(hint)),
    Array(6).fill(true),
  )
  assert.is(outside[0], "./scripts/create-topics.mts --only new --file '/tmp/it'\\''s.yml'")
})

findings('finds nothing wrong with a topic as declared, or with an undeclared one', () => {
  assert.equal(planFindings(planTopics([declare('a')], [actual('a'), actual('b')])), [])
})

findings('warns that keys move only if a keyed topic gets partitions', () => {
  assert.equal(
    growthWarnings(DRIFT).map(({ severity, code, subject }) => [severity, code, subject]),
    [['warning', 'TOPIC_KEYS_MOVE', 'small']],
  )
  assert.equal(growthWarnings(planTopics([declare('small')], [actual('small', { partitions: 2 })])), [])
})

findings.run()

const text = suite('renderPlan')

text('has a line for each change and for each topic left alone', () => {
  assert.is(
    renderPlan(DRIFT, plain),
    `  + create             new       4 partitions, replication 1, retention.ms=1000
  ^ grow               small     2 → 4 partitions
  ~ configure          late      retention.ms: 7 → 1000
  ✗ cannot change      big       partitions: 9 → 4
  ✗ needs --rebalance  copies    replication: 3 → 1
  · not declared       stranger  left alone`,
  )
})

text.run()

const narrow = suite('narrowPlan')

narrow('keeps only the named topics', () => {
  const plan = narrowPlan(DRIFT, ['small', 'big'])
  assert.is(changedTopics(DRIFT).size, 3)
  assert.is(changedTopics(plan).size, 1)
  assert.equal(plan, { ...NOTHING, grow: DRIFT.grow, impossible: [DRIFT.impossible[0]] })
  assert.equal(narrowPlan(DRIFT, []), DRIFT)
})

narrow.run()
