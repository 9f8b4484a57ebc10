/** How unevenly topics lie over brokers, as findings. */
import { type Finding, warning } from '../common/findings.mts'
import type { Metadata } from '../kafka/cluster-requests.mts'
import type { DeclaredTopic } from './file.mts'
import { rebalanceCommand } from './hint.mts'
import { type Evenness, evennessOf, moved, type PlacedTopic, planPlacement } from './placement.mts'
import { placedTopics } from './rebalance-plan.mts'

/** Warnings of topics, and of all together, that lie more unevenly over the brokers than they could. */
export function unevenFindings(
  { brokers, topics }: Pick<Metadata, 'brokers' | 'topics'>,
  declared: readonly DeclaredTopic[],
  only: readonly string[],
  file?: string,
): Finding[] {
  const placed = placedTopics(topics, declared, only)
  const up = new Set(brokers.map(({ id }) => id))
  const isWhole = placed.every(({ partitions }) =>
    partitions.every(({ replicas }) => replicas.every((id) => up.has(id))),
  )
  // What lies on brokers that are down is not judged.
  if (brokers.length < 2 || !isWhole) return []
  const moves = planPlacement(brokers, placed)
  // Another number of copies is a finding of its own.
  const differs = ({ replication, partitions }: PlacedTopic) =>
    replication !== undefined && partitions.some(({ replicas }) => replicas.length !== replication)
  const differences = placed.flatMap((topic) => {
    const { name, replication, partitions } = topic
    if (replication === undefined || differs(topic)) return []
    const [now, could] = [evennessOf(brokers, partitions), evennessOf(brokers, moved(topic, moves).partitions)]
    const better =
      gap(now.copies) > Math.max(1, gap(could.copies)) || gap(now.leaders) > Math.max(1, gap(could.leaders))
    return better || now.sharedRacks > could.sharedRacks ? [{ name, now, could }] : []
  })
  const uneven = (subject: string, code: string, now: Evenness, could: Evenness, hint: string) =>
    warning(code, subject, { found: evennessText(now), expected: evennessText(could), hint })
  const findings = differences.map(({ name, now, could }) =>
    uneven(name, 'TOPIC_UNEVEN', now, could, rebalanceCommand(differences.length === 1 ? [name] : only, file)),
  )
  const all = (list: typeof placed) =>
    evennessOf(
      brokers,
      list.flatMap(({ partitions }) => partitions),
    )
  const [now, could] = [all(placed), all(placed.map((topic) => moved(topic, moves)))]
  if (findings.length === 0 && !placed.some(differs) && isLopsided(now, could))
    findings.push(uneven('kafka brokers', 'KAFKA_UNEVEN', now, could, rebalanceCommand(only, file)))
  return findings
}

const gap = ([least, most]: readonly [number, number]): number => most - least

/** Topics of few partitions lie by chance where Kafka put them: only when one broker has no half of what another has is it worth a move. */
function isLopsided(now: Evenness, could: Evenness): boolean {
  const lopsided = (before: readonly [number, number], after: readonly [number, number]) =>
    before[0] < before[1] / 2 && gap(before) > Math.max(1, gap(after))
  return lopsided(now.copies, could.copies) || lopsided(now.leaders, could.leaders)
}

function evennessText({ copies, leaders, sharedRacks }: Evenness): string {
  const range = ([least, most]: readonly [number, number]) => (least === most ? `${least}` : `${least} to ${most}`)
  const racks = sharedRacks > 0 ? `, and ${sharedRacks} copies share a rack with another` : ''
  return `a broker holds ${range(copies)} copies and leads ${range(leaders)} partitions${racks}`
}
