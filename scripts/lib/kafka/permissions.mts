/** What a login may not do, as the ACL that is missing. */
import { error, type Finding } from '../common/findings.mts'
import type { Servers } from './options.mts'

const REFUSALS = ['TOPIC_AUTHORIZATION_FAILED', 'GROUP_AUTHORIZATION_FAILED', 'CLUSTER_AUTHORIZATION_FAILED']

/** Whether an error of the protocol says that the login lacks a right. */
export const isRefusal = (error: unknown): boolean => REFUSALS.includes(String(error))

/** An operation as kafka-acls.sh names it. @see https://kafka.apache.org/39/documentation.html#operations_resources_and_protocols */
export interface Right {
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
  /** Names of topics or the group; none for the cluster. */
  names: readonly string[]
}

/** `error` as it is, with the missing ACL where it says that one is. */
export const withRight = (error: string, { operation, on, names }: Right): string =>
  isRefusal(error) ? `${error}: no ACL for ${operation} on ${[on, ...names].join(' ')}` : error

/** A request as a whole was refused for lack of a right. */
export class NotAllowed extends Error {
  readonly right: Right
  constructor(right: Right) {
    super(`no ACL for ${right.operation} on ${[right.on, ...right.names].join(' ')}`)
    this.right = right
  }
}

/** The finding of a missing right, with the command that grants it: exit code 2. */
export function rightMistake(settings: Servers, { operation, on, names }: Right): Finding {
  const user = settings.KAFKA_SASL_USERNAME || 'ANONYMOUS'
  const resource = on === 'cluster' ? '--cluster' : names.map((name) => `--${on} ${name}`).join(' ')
  const servers = settings.KAFKA_BOOTSTRAP_SERVERS.join()
  return error('KAFKA_RIGHTS', `kafka ${[on, ...names].join(' ')}`, {
    found: `${user} may not: no ACL for ${operation}`,
    hint: `kafka-acls.sh --bootstrap-server ${servers} --add --allow-principal User:${user} --operation ${operation} ${resource}`,
  })
}
