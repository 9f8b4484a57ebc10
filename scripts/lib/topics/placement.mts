/** Which brokers should hold the copies of each partition, and lead it. */
import { type Item, spread } from './min-cost-flow.mts'

export interface PlacedPartition {
  index: number
  /** Broker ids; the first is the preferred leader. */
  replicas: readonly number[]
}

export interface PlacedTopic {
  name: string
  /** Copies that each partition should have; undefined leaves the topic where it is, and only counts it. */
  replication: number | undefined
  partitions: readonly PlacedPartition[]
}

export interface RackedBroker {
  id: number
  /** Racks count only where every broker has one, as for Kafka itself. */
  rack: string | null
}

/** A partition's brokers before and after; the same in another order makes another its leader, and moves no data. */
export interface Move {
  topic: string
  partition: number
  from: readonly number[]
  to: readonly number[]
}

/**
 * The moves after which every partition has as many copies as declared, in as many racks as possible, and each topic, then all of them, have as
 * even counts of copies and of leaders on the brokers as possible: the fewest that do. Empty where it is so already.
 * @param brokers those that are up; copies elsewhere are placed again
 */
export function planPlacement(brokers: readonly RackedBroker[], topics: readonly PlacedTopic[]): Move[] {
  const ids = brokers.map(({ id }) => id).sort((a, b) => a - b)
  const at = (id: number) => ids.indexOf(id)
  const partitions = topics.flatMap(({ name, replication, partitions: list }, topic) =>
    list.map(({ index, replicas }) => ({ name, topic, replication, index, replicas })),
  )
  const items = partitions.map(({ topic, replication, replicas }): Item => {
    const present = replicas.map(at).filter((broker) => broker >= 0)
    if (replication === undefined) return { topic, count: present.length, allowed: present, present }
    return { topic, count: Math.min(replication, ids.length), allowed: ids.map((_, broker) => broker), present }
  })
  const sets = spread(items, racksOf(brokers))
  const firsts = items.map(({ topic, present }, item): Item => {
    const [first] = partitions[item]?.replicas ?? []
    const now = present.filter((broker) => ids[broker] === first)
    const set = sets[item] ?? []
    const fixed = partitions[item]?.replication === undefined
    return { topic, count: Math.min(1, set.length), allowed: fixed && now.length > 0 ? now : set, present: now }
  })
  const leaders = spread(
    firsts,
    ids.map(() => 0),
  )
  return partitions.flatMap(({ name, replication, index, replicas }, item): Move[] => {
    if (replication === undefined) return []
    const set = (sets[item] ?? []).map((broker) => ids[broker] ?? -1)
    const leader = ids[leaders[item]?.[0] ?? -1]
    const others = [
      ...replicas.filter((id) => set.includes(id)),
      ...set.filter((id) => !replicas.includes(id)).sort((a, b) => a - b),
    ]
    const to = leader === undefined ? others : [leader, ...others.filter((id) => id !== leader)]
    return to.join() === replicas.join() ? [] : [{ topic: name, partition: index, from: replicas, to }]
  })
}

/** The index of each broker's rack, brokers in the order of their ids. */
function racksOf(brokers: readonly RackedBroker[]): number[] {
  const sorted = brokers.toSorted((a, b) => a.id - b.id)
  if (sorted.some(({ rack }) => !rack)) return sorted.map(() => 0)
  const names = [...new Set(sorted.map(({ rack }) => rack))]
  return sorted.map(({ rack }) => names.indexOf(rack))
}

/** How evenly partitions lie: the fewest and the most that a broker holds and leads, and copies that share a rack without need. */
export interface Evenness {
  copies: readonly [number, number]
  leaders: readonly [number, number]
  sharedRacks: number
}

export function evennessOf(brokers: readonly RackedBroker[], partitions: readonly PlacedPartition[]): Evenness {
  const racks = new Map(brokers.every(({ rack }) => rack) ? brokers.map(({ id, rack }) => [id, rack]) : [])
  const rackCount = new Set(racks.values()).size
  const range = (count: (id: number) => number): [number, number] => {
    const counts = brokers.map(({ id }) => count(id))
    return [Math.min(...counts), Math.max(...counts)]
  }
  const shared = ({ replicas }: PlacedPartition) =>
    Math.min(replicas.length, rackCount) - new Set(replicas.map((id) => racks.get(id))).size
  return {
    copies: range((id) => partitions.filter(({ replicas }) => replicas.includes(id)).length),
    leaders: range((id) => partitions.filter(({ replicas }) => replicas[0] === id).length),
    sharedRacks: rackCount > 0 ? partitions.reduce((sum, each) => sum + Math.max(0, shared(each)), 0) : 0,
  }
}

/** The topic as it is after the moves. */
export function moved(topic: PlacedTopic, moves: readonly Move[]): PlacedTopic {
  const after = new Map(moves.filter((move) => move.topic === topic.name).map(({ partition, to }) => [partition, to]))
  const partitions = topic.partitions.map(({ index, replicas }) => ({ index, replicas: after.get(index) ?? replicas }))
  return { ...topic, partitions }
}
