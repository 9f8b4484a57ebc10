/** Whether an embedded service is ready. */
import { exchange, zookeeperWord } from '../../common/tcp.mts'
import { isUp } from '../../kafka/cluster.mts'
import { PAGE_IDENTITY, pageIdentity } from '../page.mts'
import type { EmbeddedService } from './definition.mts'

/** The ports at which the service, or another of its kind, gives the right answer; none while it refuses or gives another. */
export async function answering(service: EmbeddedService): Promise<number[]> {
  const right = await Promise.all(service.ports.map((port) => answersAt(service, port)))
  return service.ports.filter((_, index) => right[index])
}

export const answersAll = async (service: EmbeddedService): Promise<boolean> =>
  (await answering(service)).length === service.ports.length

async function answersAt({ name, host, login }: EmbeddedService, port: number): Promise<boolean> {
  const timeoutMs = 2_000
  try {
    switch (name) {
      case 'zookeeper':
        // `ruok` is answered before the data is loaded.
        return /^Mode: /m.test(await zookeeperWord({ host, port }, 'srvr', timeoutMs))
      case 'kafka':
        return await isUp({ KAFKA_BOOTSTRAP_SERVERS: [`${host}:${port}`] }, timeoutMs)
      case 'clickhouse': {
        const headers = {
          Authorization: login ?? '',
          // A connection kept for reuse would make the server wait for it when it stops.
          Connection: 'close',
        }
        const url = `http://${host}:${port}/?query=SELECT%201`
        const response = await fetch(url, { headers, signal: AbortSignal.timeout(timeoutMs) })
        return (await response.text()).trim() === '1'
      }
      case 'ui':
        return (await pageIdentity(port, timeoutMs)).startsWith(PAGE_IDENTITY)
      case 'redis': {
        // NOAUTH is an answer of a server that serves; LOADING is one that does not yet.
        const answer = await exchange({ host, port }, 'PING\r\n', (received) => received.includes('\r\n'), timeoutMs)
        return /^(\+PONG|-NOAUTH)/.test(answer.toString())
      }
    }
  } catch {
    // Refused, reset or no answer in time: not yet.
    return false
  }
}
