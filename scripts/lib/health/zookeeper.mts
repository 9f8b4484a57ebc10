import { error, type Finding, warning } from '../common/findings.mts'
import { zookeeperWord } from '../common/tcp.mts'
import { logHint } from '../engines/logs.mts'
import { localAddress } from '../ports/published.mts'
import type { Settings } from '../settings/settings.mts'
import type { Probe, ProbeOptions } from './probe.mts'

/** Average latency in ms above which ZooKeeper is slow: Kafka's session is 6 s of ticks of 2 s. */
const SLOW_MS = 100

/** Whether ZooKeeper serves: ruok, mode, latency and sessions. @throws when it gives no answer */
export async function probeZookeeper(settings: Settings, { timeoutMs }: ProbeOptions): Promise<Probe> {
  const address = { host: localAddress(settings), port: settings.ZOOKEEPER_CLIENT_PORT }
  const findings: Finding[] = []
  const [ruok, mntr] = await Promise.all([
    zookeeperWord(address, 'ruok', timeoutMs),
    zookeeperWord(address, 'mntr', timeoutMs),
  ])
  if (ruok !== 'imok') {
    const hint = 'whitelist ruok and mntr in zookeeper/zoo.cfg (4lw.commands.whitelist) and restart it'
    findings.push(error('ZOOKEEPER_RUOK', 'zookeeper', { found: `"${ruok.trim()}"`, expected: 'imok', hint }))
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
    const [expected, hint] = ['standalone, leader or follower', logHint('zookeeper', settings)]
    findings.push(error('ZOOKEEPER_MODE', 'zookeeper', { found: mode, expected, hint }))
  }
  if (details.averageLatencyMs > SLOW_MS) {
    const found = `${details.averageLatencyMs} ms on average`
    const hint = 'look for a busy disk: iostat -x 1'
    findings.push(warning('ZOOKEEPER_SLOW', 'zookeeper latency', { found, expected: `at most ${SLOW_MS} ms`, hint }))
  }
  const { sessions } = details
  // Versions before 3.6 do not report them.
  const clients = Number.isNaN(sessions) ? '' : `, ${sessions} ${sessions === 1 ? 'session' : 'sessions'}`
  return { summary: `${mode}${clients}`, details, findings }
}
