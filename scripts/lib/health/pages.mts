/** Probes of the web pages: Kafka UI, and the page of the embedded stack. */
import { error } from '../common/findings.mts'
import { httpText } from '../common/http.mts'
import { logHint } from '../engines/logs.mts'
import { PAGE_IDENTITY, pageIdentity } from '../engines/page.mts'
import { localAddress } from '../ports/published.mts'
import type { Settings } from '../settings/settings.mts'
import type { Probe, ProbeOptions } from './probe.mts'

/** Checks the health endpoint of Kafka UI. @throws if it does not answer */
export async function probeKafkaUi(settings: Settings, { timeoutMs }: ProbeOptions): Promise<Probe> {
  const url = `http://${localAddress(settings)}:${settings.KAFKA_UI_PORT}/actuator/health`
  const { status, text } = await httpText(url, { timeoutMs })
  const up = status === 200 && /"status"\s*:\s*"UP"/.test(text)
  const found = `${status} ${text.slice(0, 200)}`
  const down = error('KAFKA_UI_DOWN', 'kafka-ui', {
    found,
    expected: '200 with status UP',
    hint: logHint('kafka-ui', settings),
  })
  return { summary: up ? 'UP' : 'not up', details: { status }, findings: up ? [] : [down] }
}

/** Checks that the page of the embedded stack is served. @throws if nothing answers */
export async function probeUi(settings: Settings, { timeoutMs }: ProbeOptions): Promise<Probe> {
  const identity = await pageIdentity(settings.KAFKA_UI_PORT, timeoutMs)
  const url = `http://127.0.0.1:${settings.KAFKA_UI_PORT}`
  if (identity.startsWith(PAGE_IDENTITY)) return { summary: url, details: { url }, findings: [] }
  const found = `another web server on port ${settings.KAFKA_UI_PORT}`
  const other = error('UI_OTHER', 'ui', { found, hint: logHint('ui', settings) })
  return { summary: 'not the page of the stack', details: {}, findings: [other] }
}
