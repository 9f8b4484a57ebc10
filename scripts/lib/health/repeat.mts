/** Repeats health checks (`--wait`, `--watch`), and renders the logs of unhealthy services. */
import { setTimeout as delay } from 'node:timers/promises'
import { exitCodeOf } from '../common/findings.mts'
import { lastLines, readRecords } from '../engines/embedded/processes.mts'
import { containerLog, readContainers } from '../engines/inspect.mts'
import type { Settings } from '../settings/settings.mts'
import type { StackHealth } from './health.mts'

const POLL_MS = 500

/**
 * Polls until the stack is healthy, for at most `waitMs`, and returns the last result.
 * @param read takes the milliseconds left
 * @param onWait called once, if the first result is not healthy
 */
export async function readUntilHealthy(
  read: (leftMs: number) => Promise<StackHealth>,
  waitMs: number,
  onWait: () => void,
): Promise<StackHealth> {
  const deadline = performance.now() + waitMs
  const leftMs = () => deadline - performance.now()
  let health = await read(leftMs())
  if (exitCodeOf(health.findings) !== 0) onWait()
  // A later check would end after the deadline.
  while (exitCodeOf(health.findings) !== 0 && leftMs() >= POLL_MS) {
    await delay(Math.min(POLL_MS, leftMs() - POLL_MS))
    health = await read(leftMs())
  }
  return health
}

const WATCH_MS = 2_000

/** Prints the health every two seconds until standard output is closed, and returns the last result. */
export async function watchHealth(
  read: () => Promise<StackHealth>,
  render: (health: StackHealth) => string,
): Promise<StackHealth> {
  let isOpen = true
  process.stdout.once('error', () => {
    isOpen = false
  })
  for (;;) {
    const health = await read()
    process.stdout.write(`${new Date().toISOString()}\n${render(health)}\n`)
    await delay(WATCH_MS)
    if (!isOpen) return health
  }
}

/** Number of log lines shown for each unhealthy service. */
const LAST_LINES = 5

/** Renders the last log lines of services that are neither healthy nor skipped; empty if there are none. */
export async function renderLogs(settings: Settings, { mode, services }: StackHealth): Promise<string> {
  const containers = mode === 'docker' ? await readContainers() : []
  const records = readRecords(settings.EMBEDDED_DATA_DIR)
  const ends = services.map(async ({ service, state }) => {
    if (state === 'healthy' || state === 'skipped') return ''
    const container = containers?.find((each) => each.service === service)
    const record = records.find(({ name }) => name === service)
    const lines = container
      ? await containerLog(container.name, LAST_LINES)
      : record
        ? lastLines(record.log, LAST_LINES)
        : []
    const shown = lines.filter(Boolean).map((line) => `  ${line.slice(0, 300)}`)
    return shown.length > 0 ? [`The log of ${service} ends with`, ...shown].join('\n') : ''
  })
  return (await Promise.all(ends)).filter(Boolean).join('\n')
}
