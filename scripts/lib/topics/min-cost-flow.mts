/**
 * Distributes items evenly over brokers with as few moves as possible. This is a minimum-cost flow: starting from the current placement,
 * cancel cycles of negative cost until none is left, so that nothing moves without a gain.
 * @see M. Klein, A Primal Method for Minimal Cost Flows, Management Science 14 (1967)
 */

/** A partition whose replicas are placed, or whose preferred leader is chosen. Brokers are indexes from 0. */
export interface Item {
  /** Index of the topic. Each topic is balanced first, then all topics together. */
  topic: number
  /** Number of brokers to place the item on; at most the number of allowed ones. */
  count: number
  allowed: readonly number[]
  /** Current brokers, the leader first. */
  present: readonly number[]
}

/** An arc of the residual graph, the change that it stands for, and its cost, which is compared by `high` and then by `low`. */
interface Arc {
  from: number
  to: number
  high: number
  low: number
  /** Adds the item to the broker, or removes it. */
  change?: { item: number; broker: number; put: boolean }
}

/** In `high`: the cost of a replica in a rack that has one already, which outweighs the balance of a topic. */
const RACK = 2 ** 32
/** In `low`: the weight of the balance of all topics, which outweighs moves, and the cost of a move, which outweighs a change of leader. */
const [TOTAL, MOVE] = [2 ** 34, 2 ** 14]

/**
 * Returns the brokers of each item. Of all placements it chooses one that is best by these criteria, in order: replicas in as many racks
 * as possible, each topic balanced, all topics together balanced, the fewest moves, the fewest changes of leader.
 * @param racks the index of each broker's rack; all equal if brokers have no racks
 */
export function spread(items: readonly Item[], racks: readonly number[]): number[][] {
  const brokers = racks.length
  const rackCount = Math.max(0, ...racks) + 1
  const topics = Math.max(-1, ...items.map(({ topic }) => topic)) + 1
  const placed = items.map(
    ({ count, allowed, present }) => new Set(present.filter((b) => allowed.includes(b)).slice(0, count)),
  )
  const ofTopic = Array.from({ length: topics }, () => new Array<number>(brokers).fill(0))
  const ofAll = new Array<number>(brokers).fill(0)
  const count = (item: number, broker: number, by: 1 | -1) => {
    const loads = ofTopic[items[item]?.topic ?? 0] as number[]
    loads[broker] = (loads[broker] ?? 0) + by
    ofAll[broker] = (ofAll[broker] ?? 0) + by
  }
  for (const [item, on] of placed.entries()) for (const broker of on) count(item, broker, 1)
  // Place missing replicas greedily where the load is lowest, which leaves few cycles to cancel.
  for (const [item, { topic, count: wanted, allowed }] of items.entries()) {
    const on = placed[item] as Set<number>
    while (on.size < wanted) {
      const used = new Set([...on].map((broker) => racks[broker]))
      const rank = (b: number) => [used.has(racks[b]) ? 1 : 0, ofTopic[topic]?.[b] ?? 0, ofAll[b] ?? 0, b]
      const free = allowed.filter((b) => !on.has(b)).sort((a, b) => compare(rank(a), rank(b)))
      if (free[0] === undefined) break
      on.add(free[0])
      count(item, free[0], 1)
    }
  }

  // Nodes, in the order of the flow: an item; an item in a rack; a topic on a broker; a broker; the sink.
  const inRack = (item: number, rack: number) => items.length + item * rackCount + rack
  const onBroker = (topic: number, broker: number) => items.length * (1 + rackCount) + topic * brokers + broker
  const brokerNode = (broker: number) => items.length * (1 + rackCount) + topics * brokers + broker
  const sink = brokerNode(brokers)
  const arcs = (): Arc[] => {
    const found: Arc[] = []
    const both = (
      from: number,
      to: number,
      load: number,
      add: Pick<Arc, 'high' | 'low'>,
      take: Pick<Arc, 'high' | 'low'>,
    ) => {
      found.push({ from, to, ...add })
      if (load > 0) found.push({ from: to, to: from, ...take })
    }
    for (const [item, { topic, allowed, present }] of items.entries()) {
      const on = placed[item] as Set<number>
      const used = new Array<number>(rackCount).fill(0)
      for (const broker of on) used[racks[broker] ?? 0] = (used[racks[broker] ?? 0] ?? 0) + 1
      for (const [rack, replicas] of used.entries()) {
        const second = rackCount > 1 ? RACK : 0
        const [add, take] = [replicas > 0 ? second : 0, replicas > 1 ? -second : 0]
        both(item, inRack(item, rack), replicas, { high: add, low: 0 }, { high: take, low: 0 })
      }
      for (const broker of allowed) {
        const [outer, inner] = [inRack(item, racks[broker] ?? 0), onBroker(topic, broker)]
        const move = broker === present[0] ? 0 : present.includes(broker) ? 1 : MOVE
        if (on.has(broker))
          found.push({ from: inner, to: outer, high: 0, low: -move, change: { item, broker, put: false } })
        else found.push({ from: outer, to: inner, high: 0, low: move, change: { item, broker, put: true } })
      }
    }
    // The cost is the sum of the squared counts, which is lowest when they are equal: one more adds 2n + 1, one less subtracts 2n - 1.
    for (let topic = 0; topic < topics; topic++)
      for (const [broker, n] of (ofTopic[topic] ?? []).entries())
        both(onBroker(topic, broker), brokerNode(broker), n, { high: 2 * n + 1, low: 0 }, { high: 1 - 2 * n, low: 0 })
    for (const [broker, n] of ofAll.entries())
      both(brokerNode(broker), sink, n, { high: 0, low: (2 * n + 1) * TOTAL }, { high: 0, low: (1 - 2 * n) * TOTAL })
    return found
  }
  for (let cycle = negativeCycle(arcs(), sink + 1); cycle; cycle = negativeCycle(arcs(), sink + 1))
    for (const { change } of cycle) {
      if (!change) continue
      const { item, broker, put } = change
      if (put) placed[item]?.add(broker)
      else placed[item]?.delete(broker)
      count(item, broker, put ? 1 : -1)
    }
  return placed.map((on) => [...on])
}

/** Compares lexicographically. */
const compare = (a: readonly number[], b: readonly number[]): number => {
  const at = a.findIndex((value, index) => value !== b[index])
  return at < 0 ? 0 : (a[at] ?? 0) - (b[at] ?? 0)
}

/** Returns a cycle of arcs with a negative total cost, or undefined if there is none (Bellman-Ford). */
function negativeCycle(arcs: readonly Arc[], nodes: number): Arc[] | undefined {
  const [high, low] = [new Float64Array(nodes), new Float64Array(nodes)]
  const by = new Array<Arc | undefined>(nodes)
  for (let round = 0; round <= nodes; round++) {
    let changed = false
    for (const arc of arcs) {
      const [h, l] = [(high[arc.from] ?? 0) + arc.high, (low[arc.from] ?? 0) + arc.low]
      const now = high[arc.to] ?? 0
      if (h > now || (h === now && l >= (low[arc.to] ?? 0))) continue
      high[arc.to] = h
      low[arc.to] = l
      by[arc.to] = arc
      changed = true
    }
    if (!changed) return undefined
    const cycle = cycleOf(by)
    if (cycle) return cycle
  }
  return undefined
}

/** Returns a cycle in the predecessor graph, where every cycle has a negative cost. */
function cycleOf(by: readonly (Arc | undefined)[]): Arc[] | undefined {
  const seen = new Int32Array(by.length)
  for (let start = 0; start < by.length; start++) {
    const mark = start + 1
    let node = start
    while (seen[node] === 0 && by[node]) {
      seen[node] = mark
      node = by[node]?.from ?? 0
    }
    if (seen[node] !== mark) continue
    const cycle: Arc[] = []
    let at = node
    do {
      const arc = by[at]
      if (!arc) return undefined
      cycle.push(arc)
      at = arc.from
    } while (at !== node)
    return cycle
  }
  return undefined
}
