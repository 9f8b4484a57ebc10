/** The state of a port that the stack opens. */
import type { Owner } from './owner.mts'
import type { PublishedPort } from './published.mts'

export interface PortState extends Pick<PublishedPort, 'service' | 'variable' | 'protocol' | 'origin'> {
  /** Address on this machine; empty means all, IPv4 and IPv6. */
  address: string
  port: number
  /**
   * `absent`: this machine does not have the address. `unknown`: this user may not try it, or may not see whether its holder is this
   * stack, whose process runs.
   */
  state: 'free' | 'ours' | 'taken' | 'absent' | 'unknown'
  /** Its holder, as far as this user may see. */
  owner?: Owner
  /** The holder of the port on ::1, where the stack does not listen. */
  localhostOwner?: Owner
  /** For a taken port that a variable sets: the next one that is free. */
  next?: number
}
