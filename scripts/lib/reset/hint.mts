/** Builds the reset commands that hints name. */
import { fileFlag } from '../topics/hint.mts'

/** The topics and the cluster that a reset applies to. */
export interface ResetScope {
  /** Only these topics; all if empty. */
  only: readonly string[]
  /** Includes undeclared topics. */
  all: boolean
  /** Path of the declaration; kafka/topics.yml unless given. */
  file?: string | undefined
  clusterId?: string
}

/** Returns the command that repeats a run with the same scope, or with only these of its topics. */
export function resetCommand(scope: ResetScope, only = scope.only): string {
  const { all, file, clusterId } = scope
  const which = `${only.length > 0 ? ` --only ${only.join(' ')}` : ''}${all ? ' --all' : ''}`
  return `./scripts/reset-kafka.mts${which}${fileFlag(file)}${clusterId === undefined ? '' : ` --cluster-id ${clusterId}`}`
}

/** The prefix of the built-in ingest's consumer groups, from clickhouse/ingest. */
const INGEST_GROUPS = 'l2_ingest.'
export const isIngest = (groupId: string): boolean => groupId.startsWith(INGEST_GROUPS)

/** Returns the steps that run `command` while the group's consumers are stopped. */
export function withoutReaders(groupId: string, command: string): string {
  if (!isIngest(groupId)) return `stop its consumers, then: ${command}`
  return `./scripts/ingest.mts off, then: ${command}, then: ./scripts/ingest.mts on`
}
