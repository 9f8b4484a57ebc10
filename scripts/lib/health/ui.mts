import { error } from '../common/findings.mts'
import { logHint } from '../engines/logs.mts'
import { PAGE_IDENTITY, pageIdentity } from '../engines/page.mts'
import type { Settings } from '../settings/settings.mts'
import type { Probe, ProbeOptions } from './probe.mts'

/** Whether the page of the embedded stack is served. @throws when nothing answers */
export async function probeUi(settings: Settings, { timeoutMs }: ProbeOptions): Promise<Probe> {
  const identity = await pageIdentity(settings.KAFKA_UI_PORT, timeoutMs)
  const url = `http://127.0.0.1:${settings.KAFKA_UI_PORT}`
  if (identity.startsWith(PAGE_IDENTITY)) return { summary: url, details: { url }, findings: [] }
  const found = `another web server on port ${settings.KAFKA_UI_PORT}`
  const other = error('UI_OTHER', 'ui', { found, hint: logHint('ui', settings) })
  return { summary: 'not the page', details: {}, findings: [other] }
}
