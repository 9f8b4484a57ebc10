/** Checks whether an embedded service is ready. */
import { httpText } from '../../common/http.mts'
import { exchange, zookeeperWord } from '../../common/tcp.mts'
import { isUp } from '../../kafka/cluster.mts'
import { PAGE_IDENTITY, pageIdentity } from '../page.mts'
import type { EmbeddedService } from './definition.mts'

/** Returns the ports at which a service of this kind answers correctly, whoever started it. */
export async function answering(service: EmbeddedService): Promise<number[]> {
  const right = await Promise.all(service.ports.map((port) => answersAt(service, port)))
  return service.ports.filter((_, index) => right[index])
}

export const answersAll = async (service: EmbeddedService): Promise<boolean> =>
  (await answering(service)).length === service.ports.length

async function answersAt({ name, host, authorization }: EmbeddedService, port: number): Promise<boolean> {
  const timeoutMs = 2_000
  try {
    switch (name) {
      case 'zookeeper':
        // ZooKeeper answers `ruok` even before it has loaded its data.
        return /^Mode: /m.test(await zookeeperWord({ host, port }, 'srvr', timeoutMs))
      case 'kafka':
        return await isUp({ KAFKA_BOOTSTRAP_SERVERS: [`${host}:${port}`] }, timeoutMs)
      case 'clickhouse': {
        const headers = { Authorization: authorization ?? '' }
        const url = `http://${host}:${port}/?query=SELECT%201`
        return (await httpText(url, { headers, timeoutMs })).text.trim() === '1'
      }
      case 'ui':
        return (await pageIdentity(port, timeoutMs)).startsWith(PAGE_IDENTITY)
      case 'redis': {
        // NOAUTH comes from a server that is ready; LOADING from one that is not.
        const answer = await exchange({ host, port }, 'PING\r\n', (received) => received.includes('\r\n'), timeoutMs)
        return /^(\+PONG|-NOAUTH)/.test(answer.toString())
      }
    }
  } catch {
    // Connection refused, reset or timed out: not ready yet.
    return false
  }
}
