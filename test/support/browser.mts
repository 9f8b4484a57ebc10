/** A headless Chromium for tests. */
import { type Browser, chromium } from 'playwright-core'
import { findCommand } from '../../scripts/lib/common/run.mts'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome']

/** The Chromium of the PATH. @throws {Error} where there is none: what is tested in it is not tested then */
export async function openBrowser(): Promise<Browser> {
  const found = await Promise.all(NAMES.map((name) => findCommand(name)))
  const executablePath = found.find((file) => file !== undefined)
  if (!executablePath) throw new Error(`Cannot test the page: found none of ${NAMES.join(', ')} on the PATH`)
  // Its sandbox does not run as root, and small machines have a small /dev/shm.
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] })
}
