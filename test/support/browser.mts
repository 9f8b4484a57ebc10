/** Headless Chromium for tests. */
import { type Browser, chromium } from 'playwright-core'
import { findCommand } from '../../scripts/lib/common/run.mts'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome']

/** Launches the Chromium found on the PATH. @throws {Error} if there is none */
export async function openBrowser(): Promise<Browser> {
  const found = await Promise.all(NAMES.map((name) => findCommand(name)))
  const executablePath = found.find((file) => file !== undefined)
  if (!executablePath) throw new Error(`Cannot test the page: found none of ${NAMES.join(', ')} on the PATH`)
  // Chromium's sandbox does not run as root, and small machines have a small /dev/shm.
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] })
}
