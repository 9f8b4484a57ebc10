/** Requests to the controller, which changes topics. Another broker may become controller at any moment. */
import type { Cluster } from './cluster.mts'
import { metadata, type Outcome } from './cluster-requests.mts'
import type { Request } from './transport.mts'

/** Milliseconds before a change is requested again: long enough for a configuration change to take effect in the broker. */
export const RETRY_MS = 250

/** Errors that a retry may resolve: another broker is becoming controller, or this one is busy. */
export const RETRIABLE = ['NOT_CONTROLLER', 'REQUEST_TIMED_OUT', 'BROKER_NOT_AVAILABLE', 'THROTTLING_QUOTA_EXCEEDED']

/** Sends a request to the current controller, which may have changed since the cluster was opened. */
export async function sendToController<T>(cluster: Cluster, request: Request<T>): Promise<T> {
  const { controllerId } = await cluster.send(metadata)
  return cluster.sendTo(controllerId < 0 ? 'controller' : controllerId, request)
}

/** The controller refused a whole request; a retry may succeed. */
export class ControllerNotReady extends Error {}

/** Like {@link sendToController}. @throws {ControllerNotReady} if the controller refuses the request as a whole */
export async function sendOrThrow<T extends { whole: Outcome }>(cluster: Cluster, request: Request<T>): Promise<T> {
  const answer = await sendToController(cluster, request)
  if (answer.whole.error !== 'NONE') throw new ControllerNotReady(outcomeText(answer.whole))
  return answer
}

/** Returns why the broker refused: its explanation, or else the name of the error. */
export const outcomeText = ({ message, error }: Outcome): string => message || error
