/** Missing Kafka permissions, reported as the ACL that would grant them. */
import { error, type Finding } from '../common/findings.mts'
import type { Servers } from './options.mts'

const PERMISSION_ERRORS = ['TOPIC_AUTHORIZATION_FAILED', 'GROUP_AUTHORIZATION_FAILED', 'CLUSTER_AUTHORIZATION_FAILED']

/** Whether a protocol error means that the user lacks a permission. */
export const isPermissionError = (error: unknown): boolean => PERMISSION_ERRORS.includes(String(error))

/** A permission, in the terms of kafka-acls.sh. @see https://kafka.apache.org/39/documentation.html#operations_resources_and_protocols */
export interface Permission {
  operation:
    | 'Create'
    | 'Delete'
    | 'Alter'
    | 'AlterConfigs'
    | 'Describe'
    | 'DescribeConfigs'
    | 'Read'
    | 'Write'
    | 'IdempotentWrite'
  on: 'topic' | 'group' | 'cluster'
  /** The topics, or the group; empty for the cluster. */
  names: readonly string[]
}

/** Returns `error`, with the missing ACL appended if it reports a missing permission. */
export const withMissingAcl = (error: string, permission: Permission): string =>
  isPermissionError(error) ? `${error}: ${noAcl(permission)}` : error

const noAcl = ({ operation, on, names }: Permission) => `no ACL for ${operation} on ${[on, ...names].join(' ')}`

/** A whole request was refused because of a missing permission. */
export class PermissionDenied extends Error {
  readonly permission: Permission
  constructor(permission: Permission) {
    super(noAcl(permission))
    this.permission = permission
  }
}

/** Returns the finding for a missing permission, with the command that grants it: exit code 2. */
export function missingPermission(settings: Servers, { operation, on, names }: Permission): Finding {
  const user = settings.KAFKA_SASL_USERNAME || 'ANONYMOUS'
  const resource = on === 'cluster' ? '--cluster' : names.map((name) => `--${on} ${name}`).join(' ')
  const servers = settings.KAFKA_BOOTSTRAP_SERVERS.join()
  return error('KAFKA_RIGHTS', `kafka ${[on, ...names].join(' ')}`, {
    found: `${user} has no ACL for ${operation}`,
    hint: `kafka-acls.sh --bootstrap-server ${servers} --add --allow-principal User:${user} --operation ${operation} ${resource}`,
  })
}
