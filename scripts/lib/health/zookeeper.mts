import { error, type Finding, warning } from '../common/findings.mts'
import { zookeeperWord } from '../common/tcp.mts'
import { logHint } from '../engines/logs.mts'
import { localAddress } from '../ports/published.mts'
import type { Settings } from '../settings/settings.mts'
import type { Probe, ProbeOptions } from './probe.mts'

/** Average latency in ms above which ZooKeeper counts as slow: Kafka's session timeout is 6 s, a tick 2 s. */
const SLOW_MS = 100

/** Checks ZooKeeper: ruok, mode and latency. @throws if it does not answer */
export async function probeZookeeper(settings: Settings, { timeoutMs }: ProbeOptions): Promise<Probe> {
  const address = { host: localAddress(settings), port: settings.ZOOKEEPER_CLIENT_PORT }
  const findings: Finding[] = []
  const [ruok, mntr] = await Promise.all([
    zookeeperWord(address, 'ruok', timeoutMs),
    zookeeperWord(address, 'mntr', timeoutMs),
  ])
  if (ruok !== 'imok') {
    const hint = 'add ruok and mntr to 4lw.commands.whitelist in zookeeper/zoo.cfg, and restart ZooKeeper'
    findings.push(error('ZOOKEEPER_RUOK', 'zookeeper', { found: `"${ruok.trim()}"`, expected: 'imok', hint }))
  }
  const values = new Map(mntr.split('\n').map((line) => line.split('\t') as [string, string]))
  const number = (name: string) => Number(values.get(name) ?? Number.NaN)
  const mode = values.get('zk_server_state') ?? 'unknown'
  const details = {
    version: values.get('zk_version')?.split('-')[0] ?? 'unknown',
    mode,
    averageLatencyMs: number('zk_avg_latency'),
    // Unlike connections, sessions do not include this probe.
    sessions: number('zk_global_sessions') + number('zk_local_sessions'),
    nodes: number('zk_znode_count'),
  }
  if (!['standalone', 'leader', 'follower'].includes(mode)) {
    const [expected, hint] = ['standalone, leader or follower', logHint('zookeeper', settings)]
    findings.push(error('ZOOKEEPER_MODE', 'zookeeper', { found: mode, expected, hint }))
  }
  if (details.averageLatencyMs > SLOW_MS) {
    const found = `${details.averageLatencyMs} ms on average`
    const hint = 'check for a busy disk: iostat -x 1'
    findings.push(warning('ZOOKEEPER_SLOW', 'zookeeper latency', { found, expected: `at most ${SLOW_MS} ms`, hint }))
  }
  const { sessions } = details
  // Versions before 3.6 do not report them.
  const clients = Number.isNaN(sessions) ? '' : `, ${sessions} ${sessions === 1 ? 'session' : 'sessions'}`
  return { summary: `${mode}${clients}`, details, findings }
}
