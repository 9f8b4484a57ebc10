import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parse } from 'dotenv'
import * as assert from 'uvu/assert'
import { run, TREE } from './engine.mts'
import { reportedSuite } from './suite.mts'

const { test, run: runSuite } = reportedSuite('docker compose config')

const ENV_FILE = path.join(TREE, '.env')
const DEFAULTS = parse(readFileSync(path.join(TREE, '.env.template'), 'utf8'))
const COMPOSE_FILE = readFileSync(path.join(TREE, 'docker-compose.yml'), 'utf8')
const VARIABLES = [...new Set([...COMPOSE_FILE.matchAll(/\$\{(\w+)/g)].map((match) => match[1] ?? ''))]

/** Returns another valid value for a variable, different from any default. */
function changed(variable: string): string {
  const value = DEFAULTS[variable] ?? ''
  if (variable.endsWith('_IMAGE')) return `example.org/${variable.toLowerCase()}:1`
  if (variable.endsWith('_PASSWORD')) return `changed-${variable}`
  if (variable === 'BIND_ADDRESS') return '127.0.0.9'
  if (/^\d+$/.test(value)) return String(Number(value) + 10_000)
  if (/^\d+(m|gb)$/.test(value)) return value.replace(/\d+/, '3')
  return `${value.replace(/[^a-z]/g, '')}changed`
}

async function config(spelling: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await run([...spelling, 'config'])
  assert.is(stderr, '', 'no warnings')
  assert.is(exitCode, 0)
  return stdout
}
const SPELLINGS = [['docker', 'compose'], ['docker-compose']]

test('succeeds without .env and without warnings, in both spellings', async () => {
  rmSync(ENV_FILE, { force: true })
  const [plugin, standalone] = await Promise.all(SPELLINGS.map(config))
  assert.is(plugin, standalone)
})

test('accepts the template as .env, whose values equal the defaults of docker-compose.yml', async () => {
  rmSync(ENV_FILE, { force: true })
  const without = await config(['docker', 'compose'])
  copyFileSync(path.join(TREE, '.env.template'), ENV_FILE)
  assert.is(await config(['docker', 'compose']), without)
})

test('accepts other values for every port, credential, image and size, and uses them all', async (note) => {
  writeFileSync(ENV_FILE, VARIABLES.map((variable) => `${variable}=${changed(variable)}\n`).join(''))
  const text = await config(['docker-compose'])
  const BYTES: Record<string, number> = { m: 1024 ** 2, gb: 1024 ** 3 }
  for (const variable of VARIABLES) {
    const [, number = '', unit = ''] = /^(\d+)(m|gb)$/.exec(changed(variable)) ?? []
    // `config` prints memory limits in bytes.
    const forms = [changed(variable), String(Number(number) * (BYTES[unit] ?? 1))]
    assert.ok(
      forms.some((form) => text.includes(form)),
      `${variable}=${changed(variable)} is not in the output`,
    )
  }
  note(`${VARIABLES.length} variables`)
})

test('every variable has an effect on its own', async () => {
  rmSync(ENV_FILE, { force: true })
  const before = await config(['docker', 'compose'])
  for (const variable of VARIABLES) {
    writeFileSync(ENV_FILE, `${variable}=${changed(variable)}\n`)
    assert.is.not(await config(['docker', 'compose']), before, variable)
  }
})

runSuite()
