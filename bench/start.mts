/** Compares a warm start of the stack with the start-up time of Kafka according to its log. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { ROOT, readSettings } from '../scripts/lib/settings/settings.mts'
import { stackEnv } from '../test/support/stack.mts'
import { type Measured, measure, median, type PartResult, runGood } from './measure.mts'

const ROUNDS = 5

/** Times starts of the embedded stack on existing data, until all services answer and until the command exits. */
export async function benchStart(log: (line: string) => void): Promise<PartResult> {
  const env = await stackEnv()
  const { EMBEDDED_DATA_DIR: dataDir } = readSettings(env)
  const script = (name: string, args: string[] = []) => runGood(path.join(ROOT, 'scripts', name), args, { env })
  const readyMs: number[] = []
  const kafkaMs: number[] = []
  try {
    const command = await measure(
      [
        {
          name: 'npm start on existing data',
          prepare: () => script('stop.mts'),
          run: async () => {
            const { stderr } = await script('start.mts', ['--embedded', '--json'])
            const seconds = [...stderr.matchAll(/ready in ([\d.]+) s/g)].map(([, value]) => Number(value))
            readyMs.push(Math.max(...seconds) * 1000)
            kafkaMs.push(kafkaStartMs(path.join(dataDir, 'logs', 'kafka.log')))
          },
        },
      ],
      ROUNDS,
      log,
    )
    // Without the warm-up round.
    const took = (name: string, runsMs: number[]): Measured => ({ name, medianMs: median(runsMs), runsMs })
    const ready = took('all services of the embedded stack answer', readyMs.slice(1))
    const kafka = took("Kafka's start-up according to its log", kafkaMs.slice(1))
    const name = "all services answer ÷ Kafka's start-up according to its log"
    const value = ready.medianMs / kafka.medianMs
    return { measured: [...command, ready, kafka], ratios: [{ name, value, atMost: 1.5 }] }
  } finally {
    await script('stop.mts')
  }
}

/** Returns the milliseconds between the first line of a Kafka log and "started". */
function kafkaStartMs(file: string): number {
  const lines = readFileSync(file, 'utf8').split('\n')
  const at = (line = '') => {
    const [, date, time, ms] = /^\[(\S+) ([\d:]+),(\d+)\]/.exec(line) ?? []
    return Date.parse(`${date}T${time}.${ms}Z`)
  }
  return at(lines.find((line) => line.includes('started (kafka.server.KafkaServer)'))) - at(lines[0])
}
