/** Messages as they are added, across restarts of the broker: each once, in the order of its partition. */
import { setTimeout as delay } from 'node:timers/promises'
import { OpsError } from '../common/findings.mts'
import { networkCause } from '../common/tcp.mts'
import type { Cluster } from '../kafka/cluster.mts'
import type { Position } from '../kafka/fetch-request.mts'
import { byTime, type Message, type Reader, topicGone } from './reader.mts'
import type { Range } from './source.mts'

export interface Followed {
  reader: Reader
  /** It goes on at their ends. */
  ranges: readonly Range[]
  /** Only this one. */
  partition?: number | undefined
  /** Comes back with the cluster as soon as it answers again. */
  reopen: () => Promise<Cluster>
  write: (messages: readonly Message[]) => Promise<void>
  log: (line: string) => void
  /** Resolves when no more are wanted. */
  stop: Promise<void>
  stopped: () => boolean
}

/** Milliseconds that a fetch waits for the next message, and that pass before one that failed is repeated. */
const WAIT_MS = 500

/** What a broker that is stopped, or has not yet taken over its partitions, fails with. */
const AWAY = ['KAFKA_UNREACHABLE', 'KAFKA_NOT_SERVED']
const isAwayFailure = (failure: unknown): failure is OpsError =>
  failure instanceof OpsError && failure.findings.every(({ code }) => AWAY.includes(code))

/**
 * Writes what is added until no more is wanted. A place moves on only with what is written, so that nothing is lost or repeated while the
 * broker is away.
 * @throws {OpsError} exit code 1 for what cannot be decoded or is gone, 2 for settings that a broker no longer takes
 */
export async function followTopic(followed: Followed): Promise<void> {
  const { reader, ranges, reopen, write, log, stop, stopped } = followed
  const { name } = reader.topic
  let { id } = reader.topic
  let positions = ranges.map(({ partition, high }): Position => ({ partition, offset: high }))
  let isAway = false
  while (!stopped()) {
    try {
      if (isAway) await reader.refresh(await reopen())
      const fetching = reader.topic.id === id ? reader.fetch(positions, WAIT_MS) : Promise.resolve([])
      fetching.catch(() => {
        // After the end nobody waits for it.
      })
      const answers = await Promise.race([fetching, stop])
      if (!answers) return
      if (isAway) log('Kafka is back, going on')
      isAway = false
      if (reader.topic.id !== id) {
        log(`${name}: deleted and recreated, going on at its start`)
        id = reader.topic.id
        positions = startOf(followed)
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
        await findAgain(reader, position, log)
      // Without partitions that answer there is nothing to wait for.
      if (positions.length === 0) await Promise.race([delay(WAIT_MS), stop])
    } catch (failure) {
      if (stopped()) return
      if (!isAwayFailure(failure)) throw failure
      if (!isAway) log(`Kafka is away (${networkCause(failure)}), waiting until it is back`)
      isAway = true
      await Promise.race([delay(WAIT_MS), stop])
    }
  }
}

/** Where a topic begins that was recreated. */
function startOf({ reader, partition }: Followed): Position[] {
  const { name, partitions } = reader.topic
  const wanted = partitions.filter(({ index }) => index === (partition ?? index))
  if (wanted.length === 0) throw topicGone(name, `deleted and recreated without partition ${partition}`)
  return wanted.map(({ index }) => ({ partition: index, offset: 0 }))
}

/** Moves a place that its partition does not have to the nearest one that it has; one of a topic that was recreated stays. */
async function findAgain(reader: Reader, position: Position, log: (line: string) => void): Promise<void> {
  const { name, id } = reader.topic
  const { partition, offset } = position
  await reader.refresh()
  const ends = reader.topic.id === id ? await reader.ends(partition) : undefined
  if (!ends) return
  if (offset < ends.low) log(`${name}: partition ${partition} no longer has offset ${offset}, going on at ${ends.low}`)
  if (offset > ends.high) log(`${name}: partition ${partition} lost records and ends at ${ends.high}, going on there`)
  position.offset = Math.min(Math.max(offset, ends.low), ends.high)
}
