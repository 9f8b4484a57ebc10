/** ClickHouse servers that form the shards of one cluster. */
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { readSettings, type Settings } from '../../scripts/lib/settings/settings.mts'
import { stackEnv, startStack, type TestStack } from './stack.mts'

/** Starts `count` servers, each configured with all of them as the shards of `cluster`. */
export async function startShards(count: number, cluster: string): Promise<TestStack[]> {
  const envs: NodeJS.ProcessEnv[] = []
  const more = { CLICKHOUSE_EXTRA_GRANTS: 'REMOTE', CLICKHOUSE_CLUSTER: cluster }
  while (envs.length < count) envs.push(await stackEnv(more))
  const servers = envs.map((env) => readSettings(env))
  for (const { EMBEDDED_DATA_DIR } of servers) {
    const folder = path.join(EMBEDDED_DATA_DIR, 'run', 'clickhouse', 'config.d')
    mkdirSync(folder, { recursive: true })
    // This file is read after l2.xml, which removes the example clusters of the image.
    writeFileSync(path.join(folder, 'shards.xml'), shardsXml(cluster, servers))
  }
  return Promise.all(envs.map((env) => startStack(['clickhouse'], env)))
}

function shardsXml(cluster: string, servers: Settings[]): string {
  const shards = servers.map(
    ({ CLICKHOUSE_TCP_PORT, CLICKHOUSE_USER, CLICKHOUSE_PASSWORD }) => `
    <shard><internal_replication>true</internal_replication><replica>
        <host>127.0.0.1</host><port>${CLICKHOUSE_TCP_PORT}</port>
        <user>${CLICKHOUSE_USER}</user><password>${CLICKHOUSE_PASSWORD}</password>
    </replica></shard>`,
  )
  return `<clickhouse><remote_servers><${cluster}>${shards.join('')}</${cluster}></remote_servers></clickhouse>\n`
}
