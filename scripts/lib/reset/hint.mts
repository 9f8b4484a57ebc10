/** Commands about the reset as hints name them. */
import { fileFlag } from '../topics/hint.mts'

/** What a run of the reset is to reset. */
export interface ResetScope {
  /** Only these topics; all for none. */
  only: readonly string[]
  /** Topics that are not declared, too. */
  all: boolean
  /** Path of the declaration; kafka/topics.yml unless given. */
  file?: string | undefined
  clusterId?: string
}

/** The command for another run that takes no more than this one did; with `only`, no more than these of its topics. */
export function resetCommand(scope: ResetScope, only = scope.only): string {
  const { all, file, clusterId } = scope
  const which = `${only.length > 0 ? ` --only ${only.join(' ')}` : ''}${all ? ' --all' : ''}`
  return `./scripts/reset-kafka.mts${which}${fileFlag(file)}${clusterId === undefined ? '' : ` --cluster-id ${clusterId}`}`
}

/** What the names of the built-in ingest's groups begin with, as clickhouse/ingest gives them. */
const INGEST_GROUPS = 'l2_ingest.'
export const isIngest = (groupId: string): boolean => groupId.startsWith(INGEST_GROUPS)

/** How to run `command` while nobody reads as the group. */
export function withoutReaders(groupId: string, command: string): string {
  if (!isIngest(groupId)) return `stop its programs, then: ${command}`
  return `./scripts/ingest.mts off, then: ${command}, then: ./scripts/ingest.mts on`
}
