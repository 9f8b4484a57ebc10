/** The state of a port that the stack opens. */
import type { Owner } from './owner.mts'
import type { PublishedPort } from './published.mts'

export interface PortState extends Pick<PublishedPort, 'service' | 'variable' | 'protocol' | 'origin'> {
  /** Address on this machine; empty means all IPv4 and IPv6 addresses. */
  address: string
  port: number
  /**
   * `absent`: this machine does not have the address. `unknown`: this user may not bind the port, or the stack's service runs but this
   * user cannot see whether it holds the port.
   */
  state: 'free' | 'ours' | 'taken' | 'absent' | 'unknown'
  /** Its holder, as far as this user can see. */
  owner?: Owner
  /** The holder of the port on ::1, where the stack does not listen. */
  localhostOwner?: Owner
  /** The next free port, for a taken port that a variable sets. */
  next?: number
}
