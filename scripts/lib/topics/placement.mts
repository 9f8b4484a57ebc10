/** Plans which brokers hold the replicas of each partition, and which one leads it. */
import { type Item, spread } from './min-cost-flow.mts'

export interface PlacedPartition {
  index: number
  /** Broker ids; the first is the preferred leader. */
  replicas: readonly number[]
}

export interface PlacedTopic {
  name: string
  /** Replicas that each partition should have; if undefined, the topic does not move but counts towards each broker's load. */
  replication: number | undefined
  partitions: readonly PlacedPartition[]
}

export interface RackedBroker {
  id: number
  /** Racks are considered only if every broker has one, as in Kafka. */
  rack: string | null
}

/** A partition's brokers before and after. The same brokers in a different order change only the preferred leader and copy no data. */
export interface Move {
  topic: string
  partition: number
  from: readonly number[]
  to: readonly number[]
}

/**
 * Returns the smallest set of moves that gives every partition its declared number of replicas, in as many racks as possible, and
 * distributes the replicas and leaders of each topic, then of all topics, as evenly over the brokers as possible. Empty if nothing needs to move.
 * @param brokers the brokers that are up; replicas on other brokers are placed on these
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

/** Returns the index of each broker's rack, ordered by broker id; 0 for all if a broker has no rack. */
function racksOf(brokers: readonly RackedBroker[]): number[] {
  const sorted = brokers.toSorted((a, b) => a.id - b.id)
  if (sorted.some(({ rack }) => !rack)) return sorted.map(() => 0)
  const names = [...new Set(sorted.map(({ rack }) => rack))]
  return sorted.map(({ rack }) => names.indexOf(rack))
}

/** How evenly partitions are distributed over the brokers. */
export interface Balance {
  /** The fewest and the most replicas on a broker. */
  replicas: readonly [number, number]
  /** The fewest and the most partitions of which a broker is the preferred leader. */
  leaders: readonly [number, number]
  /** Replicas that share a rack although another rack has none of their partition. */
  sharedRacks: number
}

export function balanceOf(brokers: readonly RackedBroker[], partitions: readonly PlacedPartition[]): Balance {
  const racks = new Map(brokers.every(({ rack }) => rack) ? brokers.map(({ id, rack }) => [id, rack]) : [])
  const rackCount = new Set(racks.values()).size
  const range = (count: (id: number) => number): [number, number] => {
    const counts = brokers.map(({ id }) => count(id))
    return [Math.min(...counts), Math.max(...counts)]
  }
  const shared = ({ replicas }: PlacedPartition) =>
    Math.min(replicas.length, rackCount) - new Set(replicas.map((id) => racks.get(id))).size
  return {
    replicas: range((id) => partitions.filter(({ replicas }) => replicas.includes(id)).length),
    leaders: range((id) => partitions.filter(({ replicas }) => replicas[0] === id).length),
    sharedRacks: rackCount > 0 ? partitions.reduce((sum, each) => sum + Math.max(0, shared(each)), 0) : 0,
  }
}

/** Returns the topic as it is after the moves. */
export function afterMoves(topic: PlacedTopic, moves: readonly Move[]): PlacedTopic {
  const after = new Map(moves.filter((move) => move.topic === topic.name).map(({ partition, to }) => [partition, to]))
  const partitions = topic.partitions.map(({ index, replicas }) => ({ index, replicas: after.get(index) ?? replicas }))
  return { ...topic, partitions }
}
