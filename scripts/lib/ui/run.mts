/** `npm run ui`: chooses the port, serves the page unless it already is, opens it, and waits for Ctrl-C. */
import { onInterrupt } from '../command/interrupt.mts'
import { cannotTell, error, OpsError, reason, unknown } from '../common/findings.mts'
import { findCommand, run } from '../common/run.mts'
import { runningEmbedded } from '../engines/embedded/processes.mts'
import { readContainers } from '../engines/inspect.mts'
import { modeOf } from '../engines/mode.mts'
import { PAGE_IDENTITY, pageIdentity } from '../engines/page.mts'
import type { Settings } from '../settings/settings.mts'
import { identityOf, serveUi, type Ui } from './ui.mts'

export interface UiOptions {
  /** Undefined for the port from the settings. */
  port: number | undefined
  /** Whether to open a browser, if there is one. */
  isOpening: boolean
  /** Called with the address once the page is served. */
  print: (url: string) => void
  log: (line: string) => void
}

const DOCKER_MS = 3_000
const IDENTITY_MS = 2_000

/**
 * Serves the page until Ctrl-C; returns at once if it is already served.
 * @throws {OpsError} exit code 1 if another program uses the port, 3 if the port cannot be opened
 */
export async function runUi(
  settings: Settings,
  { port: requested, isOpening, print, log }: UiOptions,
): Promise<{ url: string; served: boolean }> {
  const port = requested ?? (await portOf(settings))
  const serving = await serve(settings, port)
  const url = `http://127.0.0.1:${port}`
  print(url)
  if (isOpening && !(await openBrowser(url))) log('Open the address in a browser')
  if (!serving) return { url, served: false }
  await new Promise<void>((resolve) => onInterrupt(() => resolve()))
  await serving.close()
  return { url, served: true }
}

/** Returns KAFKA_UI_PORT, or UI_PORT if the stack runs in containers. */
async function portOf(settings: Settings): Promise<number> {
  const { EMBEDDED_DATA_DIR: dataDir } = settings
  if (runningEmbedded(dataDir).length > 0) return settings.KAFKA_UI_PORT
  const mode = modeOf(await readContainers(DOCKER_MS), dataDir)
  return mode === 'docker' ? settings.UI_PORT : settings.KAFKA_UI_PORT
}

/** Starts the server; returns undefined if the page of the same stack is already served on the port. */
async function serve(settings: Settings, port: number): Promise<Ui | undefined> {
  try {
    return await serveUi(settings, port)
  } catch (failure) {
    const subject = `port ${port}`
    const hint = `npm run ui -- --port ${port < 65_535 ? port + 1 : 8090}`
    if ((failure as NodeJS.ErrnoException).code !== 'EADDRINUSE')
      throw cannotTell(unknown('UI_PORT', subject, { found: `cannot be opened: ${reason(failure)}`, hint }), failure)
    const found = await pageIdentity(port, IDENTITY_MS).catch(() => '')
    if (found === JSON.stringify(identityOf(settings))) return undefined
    const holder = found.startsWith(PAGE_IDENTITY) ? 'the page of another stack' : 'another program'
    throw new OpsError(1, [error('UI_PORT', subject, { found: `in use by ${holder}`, hint })])
  }
}

/** Opens the browser. Returns false if there is none, or it fails. */
async function openBrowser(url: string): Promise<boolean> {
  const { DISPLAY, WAYLAND_DISPLAY } = process.env
  const opener = process.platform === 'darwin' ? 'open' : DISPLAY || WAYLAND_DISPLAY ? 'xdg-open' : undefined
  if (!opener || !(await findCommand(opener))) return false
  return (await run([opener, url], { timeoutMs: 5_000 })).ok
}
