/** Follows a topic across broker restarts: writes each new message once, in the order of its partition. */
import { setTimeout as delay } from 'node:timers/promises'
import { OpsError } from '../common/findings.mts'
import { networkCause } from '../common/tcp.mts'
import type { Cluster } from '../kafka/cluster.mts'
import type { Position } from '../kafka/fetch-request.mts'
import { byTime, type Message, type Reader, topicGone } from './reader.mts'
import type { Range } from './source.mts'

export interface Following {
  reader: Reader
  /** Following starts at their ends. */
  ranges: readonly Range[]
  /** Limits following to this partition. */
  partition?: number | undefined
  /** Waits until the cluster answers again, and returns it. */
  reopen: () => Promise<Cluster>
  write: (messages: readonly Message[]) => Promise<void>
  log: (line: string) => void
  /** Resolves when no more messages are wanted. */
  stop: Promise<void>
  stopped: () => boolean
}

/** Milliseconds that a fetch waits for the next message, and before a failed fetch is retried. */
const WAIT_MS = 500

/** Codes of a broker that is stopped, or has not yet taken over its partitions. */
const UNAVAILABLE = ['KAFKA_UNREACHABLE', 'KAFKA_NOT_SERVED']
const isUnavailability = (failure: unknown): failure is OpsError =>
  failure instanceof OpsError && failure.findings.every(({ code }) => UNAVAILABLE.includes(code))

/**
 * Writes new messages until no more are wanted. While the broker is unavailable no message is lost or repeated: a fetch that fails leaves the
 * positions as they are.
 * @throws {OpsError} exit code 1 if a message cannot be decoded or the topic was deleted; 2 if a broker no longer accepts the settings
 */
export async function followTopic(following: Following): Promise<void> {
  const { reader, ranges, reopen, write, log, stop, stopped } = following
  const { name } = reader.topic
  let { id } = reader.topic
  let positions = ranges.map(({ partition, high }): Position => ({ partition, offset: high }))
  let isUnavailable = false
  while (!stopped()) {
    try {
      if (isUnavailable) await reader.refresh(await reopen())
      const fetching = reader.topic.id === id ? reader.fetch(positions, WAIT_MS) : Promise.resolve([])
      fetching.catch(() => {
        // Not an unhandled rejection once `stop` has won the race.
      })
      const answers = await Promise.race([fetching, stop])
      if (!answers) return
      if (isUnavailable) log('Kafka is back, resuming')
      isUnavailable = false
      if (reader.topic.id !== id) {
        log(`${name}: deleted and recreated, resuming at its start`)
        id = reader.topic.id
        positions = startOf(following)
        continue
      }
      const added: Message[] = []
      for (const answer of answers) {
        const position = positions.find(({ partition }) => partition === answer.partition)
        if (!position) continue
        for await (const { messages, nextOffset } of reader.decode(answer, position.offset)) {
          added.push(...messages)
          position.offset = Math.max(position.offset, nextOffset)
        }
      }
      await write(added.sort(byTime))
      const lost = answers.filter(({ error }) => error === 'OFFSET_OUT_OF_RANGE').map(({ partition }) => partition)
      for (const position of positions.filter(({ partition }) => lost.includes(partition)))
        await moveToNearest(reader, position, log)
      // Without positions the fetch returns at once.
      if (positions.length === 0) await Promise.race([delay(WAIT_MS), stop])
    } catch (failure) {
      if (stopped()) return
      if (!isUnavailability(failure)) throw failure
      if (!isUnavailable) log(`Kafka is unavailable (${networkCause(failure)}), waiting until it is back`)
      isUnavailable = true
      await Promise.race([delay(WAIT_MS), stop])
    }
  }
}

/** Returns the start of the partitions of a recreated topic. */
function startOf({ reader, partition }: Following): Position[] {
  const { name, partitions } = reader.topic
  const wanted = partitions.filter(({ index }) => index === (partition ?? index))
  if (wanted.length === 0) throw topicGone(name, `deleted and recreated without partition ${partition}`)
  return wanted.map(({ index }) => ({ partition: index, offset: 0 }))
}

/** Moves a position outside its partition to the nearest offset inside; leaves it alone if the topic was recreated. */
async function moveToNearest(reader: Reader, position: Position, log: (line: string) => void): Promise<void> {
  const { name, id } = reader.topic
  const { partition, offset } = position
  await reader.refresh()
  const ends = reader.topic.id === id ? await reader.ends(partition) : undefined
  if (!ends) return
  if (offset < ends.low) log(`${name}: partition ${partition} no longer has offset ${offset}, resuming at ${ends.low}`)
  if (offset > ends.high) log(`${name}: partition ${partition} lost records and ends at ${ends.high}, resuming there`)
  position.offset = Math.min(Math.max(offset, ends.low), ends.high)
}
