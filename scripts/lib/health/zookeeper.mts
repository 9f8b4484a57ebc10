import { zookeeperWord } from '../common/tcp.mts'
import type { Settings } from '../settings/settings.mts'
import { reachable } from '../settings/settings.mts'
import { Findings, type Probe, type ProbeOptions } from './probe.mts'

/** Milliseconds of average latency from which on ZooKeeper is called slow: Kafka's session is 6 s of ticks of 2 s. */
const SLOW_MS = 100

/** Whether ZooKeeper serves: ruok, mode, latency and sessions. @throws when it gives no answer */
export async function probeZookeeper(settings: Settings, { timeoutMs }: ProbeOptions): Promise<Probe> {
  const address = { host: reachable(settings.BIND_ADDRESS), port: settings.ZOOKEEPER_CLIENT_PORT }
  const findings = new Findings('zookeeper')
  const [ruok, mntr] = await Promise.all([
    zookeeperWord(address, 'ruok', timeoutMs),
    zookeeperWord(address, 'mntr', timeoutMs),
  ])
  if (ruok !== 'imok') {
    const hint = 'whitelist ruok and mntr in zookeeper/zoo.cfg (4lw.commands.whitelist) and restart it'
    findings.add('error', 'ZOOKEEPER_RUOK', { found: `"${ruok.trim()}"`, expected: 'imok', hint })
  }
  const values = new Map(mntr.split('\n').map((line) => line.split('\t') as [string, string]))
  const number = (name: string) => Number(values.get(name) ?? Number.NaN)
  const mode = values.get('zk_server_state') ?? 'unknown'
  const details = {
    version: values.get('zk_version')?.split('-')[0] ?? 'unknown',
    mode,
    averageLatencyMs: number('zk_avg_latency'),
    // Of clients such as Kafka. Connections would count this probe's own.
    sessions: number('zk_global_sessions') + number('zk_local_sessions'),
    nodes: number('zk_znode_count'),
  }
  if (!['standalone', 'leader', 'follower'].includes(mode)) {
    const hint = 'docker logs l2_zookeeper, or .embedded/data/logs/zookeeper.log'
    findings.add('error', 'ZOOKEEPER_MODE', { found: mode, expected: 'standalone, leader or follower', hint })
  }
  if (details.averageLatencyMs > SLOW_MS) {
    const found = `${details.averageLatencyMs} ms on average`
    const hint = 'look for a busy disk: iostat -x 1'
    findings.add('warning', 'ZOOKEEPER_SLOW', { found, expected: `at most ${SLOW_MS} ms`, hint }, 'latency')
  }
  const { sessions } = details
  // Versions before 3.6 do not tell.
  const told = Number.isNaN(sessions) ? '' : `, ${sessions} ${sessions === 1 ? 'session' : 'sessions'}`
  return { summary: `${mode}${told}`, details, findings: findings.list }
}
