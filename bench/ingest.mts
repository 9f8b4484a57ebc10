#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/../scripts/lib/run" "$f" "$@"
/**
 * `npm run bench:ingest`: compares the built-in ingest with a consumer that fills the schema of existing installations
 * (ingest-baseline.mts), on a dedicated stack. Measures throughput on a backlog, and latency and CPU usage at three
 * message rates.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { runCommand } from '../scripts/lib/command/command.mts'
import { formatCount } from '../scripts/lib/common/count.mts'
import type { Finding } from '../scripts/lib/common/findings.mts'
import { table } from '../scripts/lib/common/table.mts'
import { waitUntil } from '../scripts/lib/common/wait.mts'
import { openKafkajs } from '../scripts/lib/kafka/clients.mts'
import { ROOT } from '../scripts/lib/settings/settings.mts'
import { runScript } from '../test/support/command.mts'
import { pids } from '../test/support/embedded.mts'
import { IngestStack, TABLES, trade } from '../test/support/ingest.mts'
import { median } from './measure.mts'
import { TODAY } from './storage/schemas.mts'

const RATES = [1_000, 10_000, 50_000]
const MIN_RATIO = 3
const MAX_P99_MS = 1_500
/** Milliseconds between two messages whose latency is measured, and between two polls for them. */
const TRACE_MS = 50
const POLL_MS = 15
const TRACER = 'TRACER'

type Pipeline = 'built-in' | 'baseline'
const PIPELINES: Pipeline[] = ['built-in', 'baseline']

interface RateResult {
  way: Pipeline
  rate: number
  /** Messages per second that the producer reached. */
  sentPerSecond: number
  /** Seconds from the last message until all are stored; undefined if more than a minute. */
  behindSeconds: number | undefined
  p50Ms: number
  p99Ms: number
  /** CPU usage in cores, by process. */
  cpu: Record<string, number>
}

let ingest: IngestStack

/** The built-in ingest fills the shipped schema, the baseline the schema of existing installations. */
const databaseOf = (pipeline: Pipeline): string =>
  pipeline === 'built-in' ? ingest.stack.settings.CLICKHOUSE_DB : `${ingest.stack.settings.CLICKHOUSE_DB}_bench_today`
const tablesOf = (pipeline: Pipeline): string[] =>
  Object.values(TABLES).map((table) => `${databaseOf(pipeline)}.${table}`)

/** Returns the number of rows in all tables of a pipeline. */
async function countStored(pipeline: Pipeline): Promise<number> {
  const counts = await Promise.all(tablesOf(pipeline).map((table) => ingest.count(table)))
  return counts.reduce((sum, count) => sum + count, 0)
}

async function createToday(): Promise<void> {
  const database = databaseOf('baseline')
  await ingest.clickhouse.command({ query: `CREATE DATABASE ${database}` })
  for (const query of TODAY)
    await ingest.clickhouse.command({ query: query.replace('CREATE TABLE ', `CREATE TABLE ${database}.`) })
}

let baseline: ChildProcess | undefined

async function begin(pipeline: Pipeline): Promise<void> {
  if (pipeline === 'built-in') {
    const { exitCode, findings } = await ingest.ingest(['on'])
    if (exitCode !== 0) throw new Error(`Cannot switch the ingest on: ${JSON.stringify(findings)}`)
  } else {
    baseline = spawn(path.join(ROOT, 'bench/ingest-baseline.mts'), [], {
      env: { ...ingest.stack.env, CLICKHOUSE_DATABASE: databaseOf(pipeline) },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
  }
}

async function end(pipeline: Pipeline): Promise<void> {
  if (pipeline === 'built-in') await ingest.ingest(['off'])
  else if (baseline?.exitCode === null) {
    baseline.kill('SIGTERM')
    await once(baseline, 'exit')
  }
  baseline = undefined
}

async function emptyTables(pipeline: Pipeline): Promise<void> {
  for (const table of tablesOf(pipeline)) await ingest.clickhouse.command({ query: `TRUNCATE TABLE ${table}` })
}

/** Resets both consumer groups to the first message. */
async function rewind(): Promise<void> {
  for (const topic of Object.keys(TABLES)) {
    await ingest.kafka.commit(`l2_ingest.${topic.split('.')[1]}`, topic, 0)
    await ingest.kafka.commit('market_data_consumer', topic, 0)
  }
}

/**
 * Measures the messages per second that a pipeline stores of a backlog, from its first rows until 90 % are stored. That
 * excludes its start, and the last batch, which waits for its flush interval.
 */
async function drain(pipeline: Pipeline, messages: number): Promise<number> {
  await emptyTables(pipeline)
  await rewind()
  let [first, firstMs] = [0, 0]
  await begin(pipeline)
  const all = async () => {
    const [count, nowMs] = [await countStored(pipeline), performance.now()]
    if (first === 0 && count > 0) [first, firstMs] = [count, nowMs]
    return count >= messages * 0.9 && [count, nowMs]
  }
  const last = await waitUntil(all, { timeoutMs: 300_000, pollMs: 50 })
  if (!last)
    throw new Error(
      `Cannot store ${messages} messages with the ${pipeline} pipeline: ${await countStored(pipeline)} after 300 s`,
    )
  await end(pipeline)
  const [count = 0, lastMs = 0] = last
  return ((count - first) / (lastMs - firstMs)) * 1000
}

/** Returns the CPU seconds that a process has used. @see proc_pid_stat(5): fields 14 and 15, in 1/100 s */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** Measures latency and CPU usage of a pipeline at a message rate. */
async function measureRate(pipeline: Pipeline, rate: number, seconds: number): Promise<RateResult> {
  await emptyTables(pipeline)
  // The topics still contain the messages of the previous measurement.
  const topics = Object.keys(TABLES)
  const reset = await runScript('reset-kafka.mts', ['--yes', '--only', ...topics], { env: ingest.stack.env })
  if (reset.exitCode !== 0) throw new Error(`Cannot empty the topics: ${reset.stderr}${reset.stdout}`)
  await begin(pipeline)
  const kafka = await openKafkajs(ingest.stack.settings, { timeoutMs: 20_000 })
  const producer = await kafka.producer()
  const pending = new Map<number, number>()
  const latenciesMs: number[] = []
  const trace = async (tick: number) => {
    pending.set(tick, performance.now())
    await producer.send({
      topic: 'iqfeed.trades.raw',
      acks: -1,
      messages: [{ key: TRACER, value: JSON.stringify(trade({ symbol: TRACER, tick_id: tick })) }],
    })
  }
  const poll = async () => {
    const rows = await ingest.rows(
      `SELECT toFloat64(tick_id) FROM ${databaseOf(pipeline)}.market_ticks WHERE symbol = '${TRACER}'`,
    )
    const seenMs = performance.now()
    for (const [tick] of rows) {
      const sentMs = pending.get(Number(tick))
      if (sentMs !== undefined) latenciesMs.push(seenMs - sentMs)
      pending.delete(Number(tick))
    }
  }
  let tick = 0
  let polling = true
  const polls = (async () => {
    for (; polling; await delay(POLL_MS)) await poll()
  })()
  // Handles a rejection before `polls` is awaited; an earlier failure is the one to report.
  polls.catch(() => {})
  // The pipeline has started once it has stored the first message.
  await trace(++tick)
  if (!(await waitUntil(async () => pending.size === 0, { timeoutMs: 60_000, pollMs: POLL_MS })))
    throw new Error(`Cannot measure the ${pipeline} pipeline: the first message was not stored within 60 s`)
  latenciesMs.length = 0
  const rowsBefore = await countStored(pipeline)
  const args = ['--generate', '--symbols', '500', '--rate', `${rate}`, '--count', `${rate * seconds}`, '--json']
  const replay = spawn(path.join(ROOT, 'scripts/replay.mts'), args, {
    env: ingest.stack.env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  replay.stdout.on('data', (chunk) => {
    output += chunk
  })
  const ended = once(replay, 'close')
  // Skips the start of the producer.
  await waitUntil(async () => (await countStored(pipeline)) > rowsBefore + tick, { timeoutMs: 30_000, pollMs: 50 })
  const processes: Record<string, number> = {
    ...pids(ingest.stack.settings),
    producer: replay.pid ?? 0,
    ...(baseline?.pid ? { consumer: baseline.pid } : {}),
  }
  const usage = () => Object.entries(processes).map(([name, pid]) => [name, cpuSeconds(pid)] as const)
  const [before, startMs] = [usage(), performance.now()]
  let after = before
  let lastMs = startMs
  const tracer = setInterval(() => {
    trace(++tick).catch(() => {
      // The message stays pending, and the run fails below.
    })
    if (replay.exitCode === null) [after, lastMs] = [usage(), performance.now()]
  }, TRACE_MS)
  await ended
  clearInterval(tracer)
  const endMs = performance.now()
  const { topics: played, seconds: playedSeconds } = JSON.parse(output) as {
    topics: Record<string, { acknowledged: number }>
    seconds: number
  }
  const sent = Object.values(played).reduce((sum, { acknowledged }) => sum + acknowledged, 0)
  const all = async () => (await countStored(pipeline)) >= rowsBefore + sent && performance.now()
  const allMs = await waitUntil(all, { timeoutMs: 60_000, pollMs: 50 })
  await waitUntil(async () => pending.size === 0, { timeoutMs: 10_000, pollMs: POLL_MS })
  polling = false
  await polls
  await kafka.close()
  await end(pipeline)
  if (pending.size > 0)
    throw new Error(
      `Cannot measure the ${pipeline} pipeline at ${rate}/s: ${pending.size} messages were not stored in time`,
    )
  const sorted = latenciesMs.toSorted((a, b) => a - b)
  const quantile = (part: number) => Math.round(sorted[Math.ceil(sorted.length * part) - 1] ?? Number.NaN)
  const cpu = before.map(
    ([name, used], index) => [name, ((after[index]?.[1] ?? used) - used) / ((lastMs - startMs) / 1000)] as const,
  )
  return {
    way: pipeline,
    rate,
    sentPerSecond: Math.round(sent / playedSeconds),
    behindSeconds: allMs ? Math.round((allMs - endMs) / 100) / 10 : undefined,
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
    cpu: Object.fromEntries(cpu.filter(([name]) => name !== 'zookeeper' && name !== 'redis')),
  }
}

function render(drained: Record<Pipeline, number>, results: RateResult[], messages: number, rounds: number): string {
  const whole = (value: number) => formatCount(Math.round(value))
  const head = [
    'rate',
    'pipeline',
    'sent/s',
    'p50 ms',
    'p99 ms',
    'all stored after',
    'ClickHouse',
    'Kafka',
    'consumer',
    'producer',
  ]
  const rows = results.map(({ way, rate, sentPerSecond, behindSeconds, p50Ms, p99Ms, cpu }) => {
    const cores = ['clickhouse', 'kafka', 'consumer', 'producer'].map((name) =>
      cpu[name] === undefined ? '' : cpu[name].toFixed(2),
    )
    const after = behindSeconds === undefined ? '> 60 s' : `${behindSeconds.toFixed(1)} s`
    return [whole(rate), way, whole(sentPerSecond), String(p50Ms), String(p99Ms), after, ...cores]
  })
  return [
    `A backlog of ${whole(messages)} messages, median of ${rounds}: built-in ${whole(drained['built-in'])}/s, baseline ${whole(drained.baseline)}/s`,
    '',
    table([[...head, '(CPU in cores)'], ...rows], { align: 'r'.repeat(head.length), indent: 0 }),
  ].join('\n')
}

await runCommand({
  name: 'npm run bench:ingest --',
  summary: `Compares the built-in ingest with a consumer that fills the schema of existing installations, on a dedicated stack: throughput on
a backlog of messages, and at 1,000, 10,000 and 50,000 messages/s the p50 and p99 latency from produce to visible row, and CPU usage per
process.`,
  options: {
    messages: {
      type: 'number',
      value: 'N',
      min: 10_000,
      max: 1e8,
      default: 1_000_000,
      help: 'messages in the backlog',
    },
    rounds: {
      type: 'number',
      value: 'N',
      min: 1,
      max: 99,
      default: 3,
      help: 'number of times each pipeline stores the backlog, in turn',
    },
    seconds: { type: 'number', value: 'N', min: 5, max: 3600, default: 15, help: 'duration of each rate' },
  },
  example: 'npm run bench:ingest -- --rounds 5',
  exitCodes: { 0: 'both targets are met', 1: 'a target is missed', 2: 'invalid usage', 3: 'could not be measured' },
  run: async ({ options: { messages, rounds, seconds }, log }) => {
    ingest = await IngestStack.start({ INGEST_FLUSH_MS: '1000' })
    try {
      await createToday()
      log(`Sending ${messages} messages`)
      const args = ['--generate', '--fast', '--symbols', '500', '--count', `${messages}`]
      const sent = await runScript('replay.mts', args, { env: ingest.stack.env })
      if (sent.exitCode !== 0) throw new Error(`Cannot send the backlog: ${sent.stderr}`)
      const speeds: Record<Pipeline, number[]> = { 'built-in': [], baseline: [] }
      for (let round = 1; round <= rounds; round++) {
        for (const pipeline of PIPELINES) {
          const perSecond = await drain(pipeline, messages)
          speeds[pipeline].push(perSecond)
          log(`${round} of ${rounds}: ${pipeline} ${Math.round(perSecond)} messages/s`)
        }
      }
      const drained = { 'built-in': median(speeds['built-in']), baseline: median(speeds.baseline) }
      const results: RateResult[] = []
      for (const rate of RATES) {
        for (const pipeline of PIPELINES) {
          const result = await measureRate(pipeline, rate, seconds)
          results.push(result)
          log(`${rate}/s: ${pipeline} p50 ${result.p50Ms} ms, p99 ${result.p99Ms} ms`)
        }
      }
      const ratio = drained['built-in'] / drained.baseline
      const p99Ms = results.find(({ way, rate }) => way === 'built-in' && rate === 10_000)?.p99Ms ?? Number.NaN
      const findings: Finding[] = []
      const target = (subject: string, met: boolean, found: string, expected: string) => {
        const hint = 'run again on an idle machine, then profile'
        if (!met) findings.push({ severity: 'error', code: 'BENCH_TARGET', subject, found, expected, hint })
      }
      target('backlog, built-in ÷ baseline', ratio >= MIN_RATIO, `${ratio.toFixed(2)} ×`, `≥ ${MIN_RATIO} ×`)
      target('p99 at 10,000/s', p99Ms <= MAX_P99_MS, `${p99Ms} ms`, `≤ ${MAX_P99_MS} ms`)
      const verdict = `Built-in ÷ baseline ${ratio.toFixed(2)} × (target ≥ ${MIN_RATIO}); p99 at 10,000/s ${p99Ms} ms (target ≤ ${MAX_P99_MS})`
      const text = `${render(drained, results, messages, rounds)}\n\n${verdict}`
      return { findings, text, data: { node: process.version, messages, perSecond: drained, ratio, paced: results } }
    } finally {
      await end('baseline')
      await ingest.stop()
    }
  },
})
