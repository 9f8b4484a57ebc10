/** The figures and commands of docs/production.md that can become wrong. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { parse } from 'dotenv'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ROOT, readSettings } from '../../scripts/lib/settings/settings.mts'
import { cleanEnv } from '../support/project.mts'

const document = readFileSync(path.join(ROOT, 'docs/production.md'), 'utf8')
const LIMITS = [
  'ZOOKEEPER_MEMORY_LIMIT',
  'KAFKA_MEMORY_LIMIT',
  'CLICKHOUSE_MEMORY_LIMIT',
  'REDIS_MEMORY_LIMIT',
  'KAFKA_UI_MEMORY_LIMIT',
] as const

const production = suite('docs/production.md')

production('has limits that the settings accept, with their sum, and leaves a fifth of the machine free', () => {
  const blocks = [...document.matchAll(/^(\d+) GB, limits of (\d+) MB together:\n\n```ini\n([\s\S]*?)```/gm)]
  assert.equal(
    blocks.map(([, gigabytes]) => gigabytes),
    ['8', '16'],
  )
  for (const [, gigabytes, sum, lines = ''] of blocks) {
    const settings = readSettings(cleanEnv(parse(lines)))
    const megabytes = LIMITS.reduce((total, name) => total + settings[name], 0) / 1024 ** 2
    assert.is(megabytes, Number(sum))
    assert.ok(megabytes <= 0.8 * 1024 * Number(gigabytes), `${megabytes} of ${gigabytes} GB`)
  }
})

production('names each warning with the code that health-check gives it', () => {
  const codes = [...(document.split('## What health-check warns of')[1] ?? '').matchAll(/^\| .* \| `(\w+)` \|$/gm)]
  const sources = ['scripts/lib/health/exposure.mts', 'scripts/lib/ports/report.mts']
    .map((file) => readFileSync(path.join(ROOT, file), 'utf8'))
    .join('\n')
  assert.is(codes.length, 5)
  for (const [, code] of codes) assert.ok(sources.includes(`warning('${code}'`), code)
})
production.run()
