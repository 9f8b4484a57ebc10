/** Changes of topics: asked of the controller, which may be another one at any moment. */
import type { Cluster } from './cluster.mts'
import { metadata, type Outcome } from './cluster-requests.mts'
import type { Request } from './transport.mts'

/** Milliseconds between requests for the same change: long enough for a change of configuration to reach the broker's memory. */
export const ASK_AGAIN_MS = 250

/** Answers that mean "not now": another broker becomes controller, or this one is busy. */
export const NOT_NOW = ['NOT_CONTROLLER', 'REQUEST_TIMED_OUT', 'BROKER_NOT_AVAILABLE', 'THROTTLING_QUOTA_EXCEEDED']

/** Asks the controller of now: another may have been elected since the cluster was opened. */
export async function askController<T>(cluster: Cluster, request: Request<T>): Promise<T> {
  const { controllerId } = await cluster.send(metadata)
  return cluster.sendTo(controllerId < 0 ? 'controller' : controllerId, request)
}

/** An answer as a whole that the controller of the next moment may give otherwise. */
export class NotNow extends Error {}

/** As {@link askController}. @throws {NotNow} when the answer as a whole is an error */
export async function askWhole<T extends { whole: Outcome }>(cluster: Cluster, request: Request<T>): Promise<T> {
  const answer = await askController(cluster, request)
  if (answer.whole.error !== 'NONE') throw new NotNow(words(answer.whole))
  return answer
}

/** Why the broker did not do it, in its own words where it has any. */
export const words = ({ message, error }: Outcome): string => message || error
