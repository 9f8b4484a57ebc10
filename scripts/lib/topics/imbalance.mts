/** Reports topics that are unevenly distributed over the brokers. */
import { type Finding, warning } from '../common/findings.mts'
import type { Metadata } from '../kafka/cluster-requests.mts'
import type { DeclaredTopic } from './file.mts'
import { rebalanceCommand } from './hint.mts'
import { afterMoves, type Balance, balanceOf, type PlacedTopic, planPlacement } from './placement.mts'
import { placedTopics } from './rebalance-plan.mts'

/**
 * Returns a warning for each topic that a rebalance would distribute more evenly over the brokers. If there is none, returns one for all
 * topics together where their distribution is lopsided.
 */
export function unevenFindings(
  { brokers, topics }: Pick<Metadata, 'brokers' | 'topics'>,
  declared: readonly DeclaredTopic[],
  only: readonly string[],
  file?: string,
): Finding[] {
  const placed = placedTopics(topics, declared, only)
  const up = new Set(brokers.map(({ id }) => id))
  const allUp = placed.every(({ partitions }) => partitions.every(({ replicas }) => replicas.every((id) => up.has(id))))
  // Do not judge while a broker is down: it may come back with its replicas.
  if (brokers.length < 2 || !allUp) return []
  const moves = planPlacement(brokers, placed)
  // A wrong number of replicas is reported separately.
  const differs = ({ replication, partitions }: PlacedTopic) =>
    replication !== undefined && partitions.some(({ replicas }) => replicas.length !== replication)
  const differences = placed.flatMap((topic) => {
    const { name, replication, partitions } = topic
    if (replication === undefined || differs(topic)) return []
    const [now, best] = [balanceOf(brokers, partitions), balanceOf(brokers, afterMoves(topic, moves).partitions)]
    const better =
      gap(now.replicas) > Math.max(1, gap(best.replicas)) || gap(now.leaders) > Math.max(1, gap(best.leaders))
    return better || now.sharedRacks > best.sharedRacks ? [{ name, now, best }] : []
  })
  const uneven = (subject: string, code: string, now: Balance, best: Balance, hint: string) =>
    warning(code, subject, { found: balanceText(now), expected: balanceText(best), hint })
  const findings = differences.map(({ name, now, best }) =>
    uneven(name, 'TOPIC_UNEVEN', now, best, rebalanceCommand(differences.length === 1 ? [name] : only, file)),
  )
  const all = (list: typeof placed) =>
    balanceOf(
      brokers,
      list.flatMap(({ partitions }) => partitions),
    )
  const [now, best] = [all(placed), all(placed.map((topic) => afterMoves(topic, moves)))]
  if (findings.length === 0 && !placed.some(differs) && isLopsided(now, best))
    findings.push(uneven('kafka brokers', 'KAFKA_UNEVEN', now, best, rebalanceCommand(only, file)))
  return findings
}

const gap = ([least, most]: readonly [number, number]): number => most - least

/**
 * Whether one broker has less than half as much as another, and a rebalance would improve that. Smaller differences are not worth a move:
 * Kafka places topics with few partitions at random.
 */
function isLopsided(now: Balance, best: Balance): boolean {
  const lopsided = (before: readonly [number, number], after: readonly [number, number]) =>
    before[0] < before[1] / 2 && gap(before) > Math.max(1, gap(after))
  return lopsided(now.replicas, best.replicas) || lopsided(now.leaders, best.leaders)
}

function balanceText({ replicas, leaders, sharedRacks }: Balance): string {
  const range = ([least, most]: readonly [number, number]) => (least === most ? `${least}` : `${least} to ${most}`)
  const racks = sharedRacks > 0 ? `, and ${sharedRacks} replicas that share a rack unnecessarily` : ''
  return `${range(replicas)} replicas and ${range(leaders)} leaders per broker${racks}`
}
