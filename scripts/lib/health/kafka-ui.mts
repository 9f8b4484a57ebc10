import type { Settings } from '../settings/settings.mts'
import { reachable } from '../settings/settings.mts'
import { Findings, type Probe, type ProbeOptions } from './probe.mts'

/** Whether Kafka UI says that it is up, at its health endpoint. @throws when it gives no answer */
export async function probeKafkaUi(settings: Settings, { timeoutMs }: ProbeOptions): Promise<Probe> {
  const url = `http://${reachable(settings.BIND_ADDRESS)}:${settings.KAFKA_UI_PORT}/actuator/health`
  const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs), headers: { Connection: 'close' } })
  const body = await response.text()
  const findings = new Findings('kafka-ui')
  const up = response.ok && /"status"\s*:\s*"UP"/.test(body)
  if (!up) {
    const found = `${response.status} ${body.slice(0, 200)}`
    findings.add('error', 'KAFKA_UI_DOWN', { found, expected: '200 with status UP', hint: 'docker logs l2_kafka_ui' })
  }
  return { summary: up ? 'UP' : 'not up', details: { status: response.status }, findings: findings.list }
}
