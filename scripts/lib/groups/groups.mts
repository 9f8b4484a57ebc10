/** Reads what consumer-groups shows: every group with its lag and rates. Changes nothing. */
import { setTimeout as delay } from 'node:timers/promises'
import { onInterrupt } from '../command/interrupt.mts'
import { configError, error, type Finding } from '../common/findings.mts'
import { nearest, suggestion } from '../common/nearest.mts'
import { type Cluster, openCluster } from '../kafka/cluster.mts'
import { lagsOf, type Positions, readPositions } from '../kafka/lag.mts'
import { lagFindings } from '../kafka/lag-findings.mts'
import { LAG_LIMITS } from '../kafka/lag-limits.mts'
import type { Settings } from '../settings/settings.mts'
import { type GroupStatus, statusOf } from './rates.mts'

export interface Snapshot {
  groups: GroupStatus[]
  findings: Finding[]
}

export interface SnapshotOptions {
  /** Limits the snapshot to this group. */
  group?: string | undefined
  /** Milliseconds between the two readings from which rates are computed. */
  intervalMs: number
  timeoutMs: number
  log: (line: string) => void
}

interface Reading {
  positions: Positions
  atMs: number
}

/** Returns the finding for a group that does not exist, with the name that was probably meant. */
export function unknownGroup(name: string, names: readonly string[], command: string): Finding {
  const found = `no such group${suggestion(nearest(name, names))}`
  const expected = names.length > 0 ? `one of ${[...names].sort().join(', ')}` : undefined
  return error('GROUP_UNKNOWN', `--group ${name}`, { found, expected, hint: command })
}

async function readOnce(cluster: Cluster, { group, timeoutMs }: SnapshotOptions): Promise<Reading> {
  const positions = await readPositions(cluster, timeoutMs / 2)
  const atMs = performance.now()
  if (group === undefined) return { positions, atMs }
  const groups = positions.groups.filter(({ id }) => id === group)
  if (groups.length === 0 && positions.error === 'NONE') {
    const names = positions.groups.map(({ id }) => id)
    throw configError([unknownGroup(group, names, './scripts/consumer-groups.mts')])
  }
  return { positions: { ...positions, groups }, atMs }
}

function snapshotOf(before: Reading, after: Reading): Snapshot {
  const seconds = (after.atMs - before.atMs) / 1000
  const groups = after.positions.groups
    .map((group) => {
      const earlier = before.positions.groups.find(({ id }) => id === group.id)
      return statusOf(earlier, group, seconds)
    })
    .sort((a, b) => (a.group < b.group ? -1 : 1))
  return { groups, findings: lagFindings(lagsOf(after.positions), LAG_LIMITS) }
}

/**
 * Returns a snapshot of the groups, from two readings.
 * @param show receives a snapshot after each interval until Ctrl-C or until standard output is closed; the returned snapshot is then empty
 * @throws {OpsError} exit code 2 for a group that does not exist; 3 if Kafka does not answer
 */
export async function readSnapshots(
  settings: Settings,
  options: SnapshotOptions,
  show?: (snapshot: Snapshot) => void,
): Promise<Snapshot> {
  const cluster = await openCluster(settings, options)
  const ended = new AbortController()
  const end = () => ended.abort()
  const release = show ? onInterrupt(end) : undefined
  if (show) process.stdout.once('error', end)
  try {
    let before = await readOnce(cluster, options)
    for (;;) {
      await delay(options.intervalMs, undefined, { signal: ended.signal }).catch(() => {
        // Interrupted while waiting.
      })
      if (ended.signal.aborted) return { groups: [], findings: [] }
      const after = await readOnce(cluster, options)
      const snapshot = snapshotOf(before, after)
      if (!show) return snapshot
      show(snapshot)
      before = after
    }
  } finally {
    release?.()
    cluster.close()
  }
}
