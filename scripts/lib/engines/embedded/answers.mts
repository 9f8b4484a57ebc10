/** Whether an embedded service is ready. */
import { exchange, zookeeperWord } from '../../common/tcp.mts'
import { isUp } from '../../kafka/cluster.mts'
import { PAGE_IDENTITY, pageIdentity } from '../page.mts'
import type { EmbeddedService } from './definition.mts'

/** True once the service gives the right answer; false while it refuses or gives another. */
export async function answers(service: EmbeddedService): Promise<boolean> {
  const timeoutMs = 2_000
  try {
    switch (service.name) {
      case 'zookeeper':
        // `ruok` is answered before the data is loaded.
        return /^Mode: /m.test(await zookeeperWord(service, 'srvr', timeoutMs))
      case 'kafka':
        return await isUp({ KAFKA_BOOTSTRAP_SERVERS: [`${service.host}:${service.port}`] }, timeoutMs)
      case 'clickhouse': {
        const headers = {
          Authorization: service.login ?? '',
          // A connection kept for reuse would make the server wait for it when it stops.
          Connection: 'close',
        }
        const url = `http://${service.host}:${service.port}/?query=SELECT%201`
        const response = await fetch(url, { headers, signal: AbortSignal.timeout(timeoutMs) })
        return (await response.text()).trim() === '1'
      }
      case 'ui':
        return (await pageIdentity(service.port, timeoutMs)).startsWith(PAGE_IDENTITY)
      case 'redis': {
        // NOAUTH is an answer of a server that serves; LOADING is one that does not yet.
        const answer = await exchange(service, 'PING\r\n', (received) => received.includes('\r\n'), timeoutMs)
        return /^(\+PONG|-NOAUTH)/.test(answer.toString())
      }
    }
  } catch {
    // Refused, reset or no answer in time: not yet.
    return false
  }
}
