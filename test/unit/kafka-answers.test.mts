/** Fake brokers, because a real one gives these answers only briefly, while it starts or the controller changes. */
import Decoder from 'kafkajs/src/protocol/decoder.js'
import Encoder from 'kafkajs/src/protocol/encoder.js'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { OpsError } from '../../scripts/lib/common/findings.mts'
import type { Cluster } from '../../scripts/lib/kafka/cluster.mts'
import type { Metadata, Outcome } from '../../scripts/lib/kafka/cluster-requests.mts'
import {
  committedOffsets,
  describeGroup,
  type GroupDescription,
  listGroups,
} from '../../scripts/lib/kafka/group-requests.mts'
import { lagsOf, readPositions } from '../../scripts/lib/kafka/lag.mts'
import { missingPermission } from '../../scripts/lib/kafka/permissions.mts'
import { type Request, writeArray } from '../../scripts/lib/kafka/transport.mts'
import { verifyReset } from '../../scripts/lib/reset/verification.mts'
import { clusterMistakes } from '../../scripts/lib/topics/cluster-mistakes.mts'
import type { DeclaredTopic } from '../../scripts/lib/topics/file.mts'
import { planTopics } from '../../scripts/lib/topics/plan.mts'

const partition = (index: number, leader = 1) => ({ index, leader, replicas: [1], inSync: [1] })
const topic = {
  name: 't',
  id: 'b'.repeat(32),
  internal: false,
  partitions: [partition(0), partition(1)],
}
const seen: Metadata = {
  clusterId: 'c',
  controllerId: 1,
  brokers: [1, 2].map((id) => ({ id, host: '127.0.0.1', port: id, rack: null })),
  topics: [topic],
}

/** API keys of the requests. */
const KEYS = {
  offsets: 2,
  metadata: 3,
  committed: 9,
  coordinator: 10,
  assigned: 15,
  groups: 16,
  create: 19,
  configs: 32,
}

/** Answers by API key. Each gets the number of earlier requests with that key, and the broker's id. */
type Answers = Partial<Record<keyof typeof KEYS, (nth: number, broker: unknown) => unknown>>

function fake(answers: Answers): Cluster {
  const asked = new Map<number, number>()
  const answer = async <T,>(broker: unknown, { key }: Request<T>): Promise<T> => {
    const name = (Object.keys(KEYS) as (keyof typeof KEYS)[]).find((each) => KEYS[each] === key)
    const nth = asked.get(key) ?? 0
    asked.set(key, nth + 1)
    const given = { metadata: () => seen, configs: () => new Map(), ...answers }[name as keyof Answers]
    if (!given) throw new Error(`Cannot answer request ${key}: found no answer`)
    return given(nth, broker) as T
  }
  return {
    metadata: seen,
    send: (request) => answer('any', request),
    sendTo: (broker, request) => answer(broker, request),
    missingPermission: (permission) => missingPermission({ KAFKA_BOOTSTRAP_SERVERS: [] }, permission),
    close: () => {},
  }
}

const end = (index: number, error: string, offset: number) => ({
  topic: 't',
  partition: index,
  error,
  offset,
  timestampMs: -1,
})
const declared: DeclaredTopic = {
  name: 't',
  partitions: 2,
  replication: 1,
  config: {},
  at: { 'retention.ms': 'file:1:1' },
}
const linesOf = (findings: { severity: string; code: string; subject: string; found: string }[]) =>
  findings.map(({ severity, code, subject, found }) => `${severity} ${code} ${subject}: ${found}`)

const proof = suite('verifyReset')

proof('waits for every high watermark', async () => {
  let asked = 0
  const offsets = (nth: number) => {
    asked = nth + 1
    return [end(0, 'NONE', 0), end(1, nth < 2 ? 'NOT_LEADER_OR_FOLLOWER' : 'NONE', 0)]
  }
  assert.equal([await verifyReset(fake({ offsets }), [declared], [], [], 5_000), asked], [[], 3])
})

proof('fails for a partition that never reports its high watermark', async () => {
  const offsets = () => [end(0, 'NONE', 0), end(1, 'NOT_LEADER_OR_FOLLOWER', -1)]
  const committed = [{ topic: 't', partition: 1, offset: 5 }]
  const group = { id: 'g', state: 'Empty', members: [], subscribed: [], committed }
  const findings = await verifyReset(fake({ offsets }), [declared], [], [group], 120)
  assert.equal(linesOf(findings), ['unknown RESET_UNPROVEN t: no high watermark from partitions 1 within 0.12 s'])
})

proof('fails for a partition without a leader', async () => {
  const leaderless = { ...seen, topics: [{ ...topic, partitions: [partition(0), partition(1, -1)] }] }
  const cluster = fake({ metadata: () => leaderless, offsets: () => [end(0, 'NONE', 0)] })
  assert.equal(
    linesOf(await verifyReset(cluster, [declared], [], [], 60)).at(-1),
    'unknown RESET_UNPROVEN t: no high watermark from partitions 1 within 0.06 s',
  )
})

const lag = suite('lagsOf with readPositions')
const readLags = async (cluster: Cluster, waitMs: number) => lagsOf(await readPositions(cluster, waitMs))
/** Returns a group with one member that is assigned the topics, or without members. */
const described = (state: string, topics: string[]): GroupDescription => ({
  error: 'NONE',
  state,
  protocol: 'consumer',
  members: topics.length > 0 ? [{ id: 'm', client: 'c at h', subscribed: topics, assigned: topics }] : [],
})
const NO_LAG = { error: 'NONE', lag: 0, uncommitted: 0, ahead: new Map() }
const behind: Answers = {
  coordinator: () => ({ error: 'NONE', brokerId: 1 }),
  committed: () => ({
    error: 'NONE',
    offsets: [4, 10].map((offset, partition) => ({ topic: 't', partition, offset })),
  }),
  assigned: () => described('Empty', []),
  offsets: (nth) => [0, 1].map((index) => end(index, 'NONE', nth % 2 === 0 ? 10 : 3)),
}
/** Only one of the two brokers knows the group. */
const listed = (error: string, broker: unknown) => ({ error, groups: error === 'NONE' && broker === 1 ? ['g'] : [] })

lag('retries while a coordinator loads its groups', async () => {
  const groups = (nth: number, broker: unknown) => listed(nth < 4 ? 'COORDINATOR_LOAD_IN_PROGRESS' : 'NONE', broker)
  const lags = await readLags(fake({ ...behind, groups }), 5_000)
  assert.equal(lags, { error: 'NONE', groups: [{ ...NO_LAG, group: 'g', lag: 6 }] })
})

lag('reports an incomplete list if it stays so', async () => {
  const groups = (_: number, broker: unknown) =>
    broker === 1 ? listed('NONE', broker) : { error: 'COORDINATOR_LOAD_IN_PROGRESS', groups: [] }
  const lags = await readLags(fake({ ...behind, groups }), 50)
  assert.equal(lags, {
    error: 'COORDINATOR_LOAD_IN_PROGRESS',
    groups: [{ ...NO_LAG, group: 'g', lag: 6 }],
  })
})

lag('does not treat an unknown end as no lag', async () => {
  const groups = (_: number, broker: unknown) => listed('NONE', broker)
  const offsets = () => [end(0, 'NOT_LEADER_OR_FOLLOWER', -1), end(1, 'NONE', 10)]
  const lags = await readLags(fake({ ...behind, groups, offsets }), 50)
  assert.equal(lags.groups, [{ ...NO_LAG, group: 'g', error: 'LEADER_NOT_AVAILABLE' }])
})

lag(
  'waits until the members of a group without commits have their partitions, and cannot tell if they never do',
  async () => {
    const groups = (_: number, broker: unknown) => listed('NONE', broker)
    const committed = () => ({ error: 'NONE', offsets: [] })
    const joining = described('PreparingRebalance', [])
    const assigned = (nth: number) => (nth < 2 ? joining : described('Stable', ['t']))
    const joined = await readLags(fake({ ...behind, groups, committed, assigned }), 5_000)
    assert.equal(joined.groups, [{ ...NO_LAG, group: 'g', lag: 14, uncommitted: 14 }])
    const never = await readLags(fake({ ...behind, groups, committed, assigned: () => joining }), 50)
    assert.equal(never.groups, [{ ...NO_LAG, group: 'g', error: 'REBALANCE_IN_PROGRESS' }])
    const known = await readLags(fake({ ...behind, groups, assigned: () => joining }), 50)
    assert.equal(known.groups, [{ ...NO_LAG, group: 'g', lag: 6 }])
  },
)

lag('does not count records that are no longer retained', async () => {
  const groups = (_: number, broker: unknown) => listed('NONE', broker)
  const offsets = (nth: number) => [0, 1].map((index) => end(index, 'NONE', nth % 2 === 0 ? 20 : 12))
  const lags = await readLags(fake({ ...behind, groups, offsets }), 50)
  assert.equal(lags.groups, [{ ...NO_LAG, group: 'g', lag: 16 }])
})

lag('finds committed offsets above the ends', async () => {
  const groups = (_: number, broker: unknown) => listed('NONE', broker)
  const offsets = (nth: number) => (nth % 2 === 0 ? [3, 12] : [0, 0]).map((offset, index) => end(index, 'NONE', offset))
  const lags = await readLags(fake({ ...behind, groups, offsets }), 50)
  assert.equal(lags.groups, [{ ...NO_LAG, group: 'g', lag: 2, ahead: new Map([['t/0', 1]]) }])
})

/** Returns what a request reads from an answer. */
const answered = <T,>({ read }: Request<T>, write: (to: Encoder) => void): T => {
  const to = new Encoder()
  write(to)
  return read(new Decoder(to.buffer))
}

lag('reads the errors of lists and of committed offsets', () => {
  const loading = answered(listGroups, (to) => writeArray(to.writeInt32(0).writeInt16(14), [], () => {}))
  assert.equal(loading, { error: 'COORDINATOR_LOAD_IN_PROGRESS', groups: [] })
  const partly = answered(committedOffsets('g'), (to) => {
    writeArray(to.writeInt32(0), ['t'], (name) =>
      writeArray(to.writeString(name), [0], (index) =>
        to.writeInt32(index).writeInt64(-1).writeInt32(-1).writeString('').writeInt16(3),
      ),
    )
    to.writeInt16(0)
  })
  assert.equal(partly, { error: 'UNKNOWN_TOPIC_OR_PARTITION', offsets: [] })
})

lag('reads assignments only of a stable group of consumers', () => {
  const topics = new Encoder()
  writeArray(topics.writeInt16(0), ['t'], (name) =>
    writeArray(topics.writeString(name), [0, 1], (index) => topics.writeInt32(index)),
  ).writeInt32(-1)
  const names = new Encoder()
  writeArray(names.writeInt16(0), ['t', 'u'], (name) => names.writeString(name)).writeInt32(-1)
  const read = (state: string, protocol: string, subscribed: Buffer, assigned: Buffer) =>
    answered(describeGroup('g'), (to) =>
      writeArray(to.writeInt32(0), ['g'], (group) => {
        to.writeInt16(0).writeString(group).writeString(state).writeString(protocol).writeString('range')
        writeArray(to, ['first', 'second'], (member) => {
          to.writeString(member).writeString('client').writeString('/127.0.0.1')
          for (const bytes of [subscribed, member === 'first' ? assigned : Buffer.alloc(0)])
            writeArray(to, [...bytes], (byte) => to.writeInt8(byte > 127 ? byte - 256 : byte))
        })
      }),
    )
  const member = { id: 'first', client: 'client at 127.0.0.1', subscribed: ['t', 'u'], assigned: ['t'] }
  assert.equal(read('Stable', 'consumer', names.buffer, topics.buffer), {
    error: 'NONE',
    state: 'Stable',
    protocol: 'consumer',
    members: [member, { ...member, id: 'second', assigned: [] }],
  })
  const silent = { ...member, subscribed: undefined, assigned: [] }
  const members = [silent, { ...silent, id: 'second' }]
  assert.equal(read('Stable', 'sr', names.buffer, topics.buffer).members, members)
  const nothing = Buffer.alloc(0)
  for (const state of ['PreparingRebalance', 'CompletingRebalance'])
    assert.equal(read(state, 'consumer', nothing, nothing), { error: 'NONE', state, protocol: 'consumer', members })
})

const mistakes = suite('clusterMistakes')
const short = { ...declared, config: { 'retention.ms': 'soon' } }
const check = (answers: Answers, timeoutMs: number) =>
  clusterMistakes(
    fake({ metadata: () => ({ ...seen, controllerId: 2 }), ...answers }),
    [short],
    planTopics([short], []),
    timeoutMs,
  )
const says = (error: string): Map<string, Outcome> => new Map([[`l2-check-${process.pid}-0`, { error, message: null }]])

mistakes('asks the new controller when the old one has resigned', async () => {
  const asked: unknown[] = []
  const create = (nth: number, broker: unknown) => {
    asked.push(broker)
    return says(nth === 0 ? 'NOT_CONTROLLER' : nth === 1 ? 'REQUEST_TIMED_OUT' : 'INVALID_CONFIG')
  }
  const found = await check({ create }, 5_000)
  assert.equal([found.map(({ code }) => code), asked], [['TOPIC_CONFIG'], [2, 2, 2]])
})

mistakes('could not be checked if no controller answers in time, or without permission', async () => {
  for (const error of ['NOT_CONTROLLER', 'CLUSTER_AUTHORIZATION_FAILED', 'UNKNOWN_SERVER_ERROR']) {
    const failure = await check({ create: () => says(error) }, 50).catch((thrown: unknown) => thrown)
    assert.ok(failure instanceof OpsError)
    assert.equal(
      [failure.exitCode, linesOf(failure.findings)],
      [3, [`unknown KAFKA_CONTROLLER kafka: no controller validated the topic configuration within 0.05 s (${error})`]],
    )
  }
})

proof.run()
lag.run()
mistakes.run()
