import { error } from '../common/findings.mts'
import { logHint } from '../engines/logs.mts'
import { localAddress } from '../ports/published.mts'
import type { Settings } from '../settings/settings.mts'
import type { Probe, ProbeOptions } from './probe.mts'

/** Whether Kafka UI says that it is up, at its health endpoint. @throws when it gives no answer */
export async function probeKafkaUi(settings: Settings, { timeoutMs }: ProbeOptions): Promise<Probe> {
  const url = `http://${localAddress(settings)}:${settings.KAFKA_UI_PORT}/actuator/health`
  const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs), headers: { Connection: 'close' } })
  const body = await response.text()
  const up = response.ok && /"status"\s*:\s*"UP"/.test(body)
  const found = `${response.status} ${body.slice(0, 200)}`
  const down = error('KAFKA_UI_DOWN', 'kafka-ui', {
    found,
    expected: '200 with status UP',
    hint: logHint('kafka-ui', settings),
  })
  return { summary: up ? 'UP' : 'not up', details: { status: response.status }, findings: up ? [] : [down] }
}
