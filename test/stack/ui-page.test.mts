/**
 * The page in headless Chromium, on a dedicated stack with ingest on: what it updates, what it shows when services fail, and its
 * accessibility.
 */
import { readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import type { BrowserContextOptions, Page } from 'playwright-core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { readRecords } from '../../scripts/lib/engines/embedded/processes.mts'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { openBrowser } from '../support/browser.mts'
import { runScript } from '../support/command.mts'
import { event, IngestStack, quote } from '../support/ingest.mts'
import { freePorts } from '../support/stack.mts'
import { startUi } from '../support/ui.mts'

/** Milliseconds within which a change must be visible, long enough for a busy machine. */
const SEEN_MS = 60_000
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

// First, so that nothing is left running where there is no browser.
const browser = await openBrowser()
const stack = await IngestStack.start()
const [port = 0] = await freePorts(1)
const ui = await startUi(stack.stack.env, ['--port', String(port)])
/** Errors in any page. */
const trouble: string[] = []
const note = (line: string) => process.stdout.write(`· ${line}\n`)

async function open(options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options })
  const page = await context.newPage()
  page.setDefaultTimeout(SEEN_MS)
  page.on('pageerror', ({ message }) => trouble.push(message))
  // Violations of the page's own security policy. Missing answers of a busy service are not errors.
  page.on('console', (line) => /Content Security Policy/.test(line.text()) && trouble.push(line.text()))
  await page.goto(ui.url)
  return page
}

const SYMBOL = 'SIM0002'

async function choose(page: Page): Promise<void> {
  await page.locator('#symbol').fill(SYMBOL)
  await page.locator('#symbol').press('Enter')
  await page.locator('#book tr').first().waitFor()
}

const scrollTo = (page: Page, title: string) =>
  page.evaluate(`scrollBy(0, document.querySelector('[aria-labelledby=${title}]').getBoundingClientRect().top - 16)`)

/** Pictures of the documents: the size of the page, and what is shown on it. */
const PICTURES: Record<string, [BrowserContextOptions, (page: Page) => Promise<void>]> = {
  // The README's picture, after half a minute of replay.
  'ui.png': [
    { viewport: { width: 1000, height: 900 }, colorScheme: 'light' },
    async (page) => {
      await page.waitForTimeout(30_000)
      await page.evaluate('scrollTo(0, 0)')
    },
  ],
  'ui-messages.png': [
    { viewport: { width: 1000, height: 520 }, colorScheme: 'dark' },
    async (page) => {
      await page.locator('#topic').selectOption('iqfeed.trades.raw')
      await sees(page, '#messages tr', '"trade_price"')
      await page.locator('#topic').blur()
      await scrollTo(page, 'messages-title')
    },
  ],
  'ui-book.png': [
    { viewport: { width: 390, height: 640 }, colorScheme: 'light' },
    async (page) => {
      await choose(page)
      await page.locator('#symbol').blur()
      await scrollTo(page, 'book-title')
    },
  ],
}

async function takePictures(): Promise<void> {
  for (const [name, [options, show]] of Object.entries(PICTURES)) {
    const page = await open(options)
    await show(page)
    await page.screenshot({ path: path.join(ROOT, 'docs', name) })
    await page.context().close()
  }
}

/** Waits until the text of an element matches. */
const sees = (page: Page, selector: string, text: string | RegExp) =>
  page.locator(selector).filter({ hasText: text }).first().waitFor()

const card = (service: string, state: string) => `#services li[data-key="${service}"][data-state="${state}"]`

const shown = suite('the page')

shown('loads with all services healthy', async () => {
  assert.is((await stack.ingest(['on'])).state, 'on')
  const page = await open()
  for (const service of ['kafka', 'clickhouse', 'redis', 'ingest'])
    await page.locator(card(service, 'healthy')).waitFor()
  await sees(page, '#connection', 'Live')
  const loadMs = await page.evaluate('performance.getEntriesByType("navigation")[0].loadEventEnd')
  note(`loaded in ${Math.round(Number(loadMs))} ms`)
  await page.context().close()
})

shown('follows a replay: rates, charts, quotes, a book and messages', async () => {
  const page = await open()
  const replaying = runScript(
    'replay.mts',
    ['--generate', '--rate', '300', '--count', process.env.PICTURES ? '18000' : '6000', '--symbols', '3'],
    {
      env: stack.stack.env,
    },
  )
  await page
    .locator('#throughput [role=img][aria-label*="iqfeed.l2.raw "]:not([aria-label*="iqfeed.l2.raw 0"])')
    .waitFor()
  await sees(page, '#quotes tr', 'SIM0001')
  await choose(page)
  await page.locator('#topic').selectOption('iqfeed.trades.raw')
  await sees(page, '#messages tr', '"trade_price"')
  const newest = await page.locator('#messages tr').first().innerText()
  const moved = async () => (await page.locator('#messages tr').first().innerText()) !== newest
  assert.ok(await waitUntil(moved, { timeoutMs: SEEN_MS, pollMs: 100 }))
  await page.locator('#lag [role=img][aria-label*="l2_ingest.l2 "]').waitFor()
  await sees(page, '#rows .legend', 'market_l2')
  if (process.env.PICTURES) await takePictures()
  assert.is((await replaying).exitCode, 0)
  await page.context().close()
})

shown('shows the book that the market has', async () => {
  const time = '2026-11-23T10:00:00'
  const bids = [100, 99.5].map((price, n) =>
    event({
      symbol: 'BOOK',
      timestamp: `${time}.00000${n}`,
      market_maker: `MM${n}`,
      side: 1,
      level: n,
      price,
      size: 300 + n,
    }),
  )
  const asks = [event({ symbol: 'BOOK', timestamp: `${time}.000005`, side: 0, level: 0, price: 100.25, size: 50 })]
  await stack.send('iqfeed.l2.raw', [...bids, ...asks], { key: 'BOOK' })
  await stack.send('iqfeed.quotes.raw', [quote({ symbol: 'BOOK' })], { key: 'BOOK' })
  assert.is(await stack.settles('market_l2', "symbol = 'BOOK'", 3), 3)
  const page = await open()
  await page.locator('#symbol').fill('BOOK')
  await page.locator('#symbol').press('Enter')
  await sees(page, '#book-time', '2026-11-23 10:00:00.000 UTC')
  const rows = await page.locator('#book tr').allInnerTexts()
  assert.equal(
    rows.map((row) => row.split(/\s+/).filter(Boolean)),
    [
      ['300', '100.00', '100.25', '50'],
      ['301', '99.50'],
    ],
  )
  await page.context().close()
})

shown('shows the content of a message as text', async () => {
  const html = '<img src="x" onerror="document.title=1"><script>document.title=2</script>'
  await stack.send('trading.signals', [html], { key: '<b>K</b>' })
  const page = await open()
  await page.locator('#topic').selectOption('trading.signals')
  await sees(page, '#messages td', html)
  assert.is(await page.locator('#messages :is(img, script, b)').count(), 0)
  assert.is(await page.title(), 'Market-data stack')
  await page.context().close()
})

for (const colorScheme of ['light', 'dark'] as const) {
  shown(`is accessible: roles, names and contrast, ${colorScheme}, at 390 pixels`, async () => {
    // The page's security policy would block axe.
    const page = await open({ colorScheme, viewport: { width: 390, height: 800 }, bypassCSP: true })
    await page.locator(card('kafka', 'healthy')).waitFor()
    await page.locator('#topic').selectOption('iqfeed.trades.raw')
    await page.locator('#messages tr').first().waitFor()
    await sees(page, '#lag .legend', 'l2_ingest')
    await page.addScriptTag({ content: AXE })
    const { violations } = await page.evaluate<{ violations: { id: string; nodes: { html: string }[] }[] }>('axe.run()')
    assert.equal(
      violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]),
      [],
    )
    const [whole, seen] = await page.evaluate<[number, number]>('[document.documentElement.scrollWidth, innerWidth]')
    assert.ok(whole <= seen, `${whole} of ${seen} pixels`)
    const tree = await page.locator('main').ariaSnapshot()
    for (const line of [
      'heading "Services"',
      'img "Messages per second, by topic, last ten minutes. Now: iqfeed.l2.raw',
      'rowheader "iqfeed.l2.raw"',
    ])
      assert.ok(tree.includes(line), `${line} in ${tree}`)
    await page.context().close()
  })
}

shown('shows a killed Kafka, and keeps showing the others', async () => {
  const page = await open()
  await page.locator(card('kafka', 'healthy')).waitFor()
  await sees(page, '#groups tr', 'l2_ingest.l2')
  const record = readRecords(stack.stack.settings.EMBEDDED_DATA_DIR).find(({ name }) => name === 'kafka')
  assert.ok(record)
  const killedMs = performance.now()
  process.kill(record.pid, 'SIGKILL')
  await page.locator(card('kafka', 'unhealthy')).waitFor()
  note(`a killed Kafka shown after ${((performance.now() - killedMs) / 1000).toFixed(1)} s`)
  await sees(page, `${card('kafka', 'unhealthy')} .finding`, 'npm start')
  await sees(page, '#changes', 'kafka is unhealthy')
  // Known values remain, marked as outdated.
  await sees(page, '[data-part=kafka].stale .problem', 'showing data from')
  assert.ok((await page.locator('#groups tr').count()) > 0)
  for (const service of ['clickhouse', 'redis']) await page.locator(card(service, 'healthy')).waitFor()
  await page.context().close()
})

shown('reports that it is disconnected when its server ends', async () => {
  const page = await open()
  await sees(page, '#connection', 'Live')
  assert.equal(trouble, [])
  assert.is(await ui.end(), 0)
  await sees(page, '#connection', 'Connection lost; showing data from')
  await page.context().close()
})

shown('is pictured in the documents, in fewer than 150 kB each', () => {
  for (const name of Object.keys(PICTURES)) assert.ok(statSync(path.join(ROOT, 'docs', name)).size < 150_000, name)
  const imagesOf = (file: string) =>
    [...readFileSync(path.join(ROOT, file), 'utf8').matchAll(/!\[[^\]]+\]\(([^)]+\.png)\)/g)].map(([, image]) => image)
  assert.equal(imagesOf('README.md'), ['docs/ui.png'])
  assert.equal(imagesOf('docs/ui.md'), Object.keys(PICTURES))
})

shown.after(async () => {
  await browser.close()
  await ui.end()
  await stack.stop()
})
shown.run()
