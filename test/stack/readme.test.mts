import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { connectClickHouse } from '../../scripts/lib/clickhouse/client.mts'
import { ROOT, readSettings } from '../../scripts/lib/settings/settings.mts'
import { readDeclaredTopics } from '../../scripts/lib/topics/file.mts'
import { runScript } from '../support/command.mts'
import { applyInitFiles, sharedStack } from '../support/stack.mts'

const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8')
const readme = read('README.md')
const scripts: Record<string, string> = JSON.parse(read('package.json')).scripts

const DOCUMENTS = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(path.join(ROOT, 'docs')).flatMap((name) => (name.endsWith('.md') ? [`docs/${name}`] : [])),
]

/** Returns the commands in code spans and blocks of the documents, each from its first word to the end of the span or line. */
function commandsNamed(): string[] {
  const text = DOCUMENTS.map(read).join('\n')
  const blocks = [...text.matchAll(/^```sh\n([\s\S]*?)^```/gm)].flatMap(([, block = '']) => block.split('\n'))
  const prose = text.replace(/^```[\s\S]*?^```/gm, '')
  const spans = [...prose.matchAll(/`([^`\n]+)`/g)].map(([, span = '']) => span)
  return [...blocks, ...spans].map((line) => line.replace(/\s+#.*/, '').trim())
}

/** Returns the script file and flags of a command, or undefined for commands of others. */
function ours(command: string): { script: string; flags: string[] } | undefined {
  const npm = /^npm (?:run (?:--silent )?)?(?!run\b)([\w:]+)(.*)/.exec(command)
  const direct = /^\.\/scripts\/([\w-]+\.mts)(.*)/.exec(command)
  const [, name = '', rest = ''] = npm ?? direct ?? []
  if (!name) return undefined
  const script = direct ? `./scripts/${name}` : (scripts[name] ?? `no npm script ${name}`)
  return { script, flags: rest.match(/--[a-z-]{2,}/g) ?? [] }
}

const commands = suite('README commands')

commands('name only npm scripts and files that exist', () => {
  const named = commandsNamed().flatMap((command) => ours(command)?.script ?? [])
  assert.ok(named.length > 20, `found only ${named.length} commands`)
  for (const script of new Set(named)) {
    const [program = ''] = script.split(' ')
    const file = path.join(ROOT, program.startsWith('./') ? program : `node_modules/.bin/${program}`)
    assert.ok(existsSync(file), `${script} does not exist`)
    assert.ok(statSync(file).mode & 0o100, `${script} cannot be executed`)
  }
})

commands('name only flags that the command has', async () => {
  const flags = new Map<string, Set<string>>()
  for (const command of commandsNamed()) {
    const { script, flags: named } = ours(command) ?? { script: '', flags: [] }
    if (script.startsWith('./scripts/')) flags.set(script, new Set([...(flags.get(script) ?? []), ...named]))
  }
  for (const [script, named] of flags) {
    const { exitCode, stdout } = await runScript(path.basename(script), ['--help'])
    assert.is(exitCode, 0, script)
    for (const flag of named) assert.match(stdout, new RegExp(`^  ${flag}\\b`, 'm'), `${script} ${flag}`)
  }
})

commands('begin with npm start, by line 10', () => {
  assert.ok(readme.split('\n').slice(0, 10).includes('npm start'))
})

commands.run()

const tables = suite('README tables')

tables('list the topics as declared', () => {
  const listed = [...readme.matchAll(/^\| `([\w.]+)` \| (\d+) \|/gm)].map(([, name, partitions]) => [
    name,
    Number(partitions),
  ])
  const declared = readDeclaredTopics(readSettings({})).map(({ name, partitions }) => [name, partitions])
  assert.equal(listed, declared)
})

tables('list market tables that are declared', () => {
  const listed = [...readme.matchAll(/^\| `(market_\w+)` \|/gm)].map(([, name = '']) => name)
  assert.is(listed.length, 4)
  const files = readdirSync(path.join(ROOT, 'clickhouse/init'))
  for (const table of listed)
    assert.ok(
      files.some((file) => file.endsWith(`0_${table}.sql`)),
      table,
    )
})

tables('list files that exist', () => {
  const section = readme.split('### Files')[1]?.split('\n## ')[0] ?? ''
  const rows = section.split('\n').filter((line) => line.startsWith('| `'))
  const files = rows.flatMap((row) =>
    [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, file = '']) => file),
  )
  assert.ok(files.length > 5)
  for (const file of files) assert.ok(existsSync(path.join(ROOT, file.replace('/*.sql', ''))), file)
})

tables('give the memory limits in force and their sum, and a way to stay inside 4 GB', () => {
  const {
    ZOOKEEPER_MEMORY_LIMIT,
    KAFKA_MEMORY_LIMIT,
    CLICKHOUSE_MEMORY_LIMIT,
    REDIS_MEMORY_LIMIT,
    KAFKA_UI_MEMORY_LIMIT,
  } = readSettings({})
  const limits = [
    ZOOKEEPER_MEMORY_LIMIT,
    KAFKA_MEMORY_LIMIT,
    CLICKHOUSE_MEMORY_LIMIT,
    REDIS_MEMORY_LIMIT,
    KAFKA_UI_MEMORY_LIMIT,
  ].map((bytes) => bytes / 1024 ** 2)
  const sum = limits.reduce((total, limit) => total + limit)
  for (const file of ['README.md', '.env.template', 'docker-compose.yml'])
    assert.ok(read(file).includes(`${sum} MB together`), `${file} says ${sum} MB together`)
  const [zookeeper, kafka, clickhouse, redis, ui] = limits
  const sentence = `ZooKeeper ${zookeeper}, Kafka ${kafka}, ClickHouse ${clickhouse}, Redis ${redis}, Kafka UI ${ui}`
  assert.ok(readme.replaceAll('\n', ' ').includes(sentence), sentence)
  assert.ok(read('docker-compose.yml').includes(limits.join(' + ')))
  const small = { REDIS_MAX_MEMORY: '1gb', REDIS_MEMORY_LIMIT: '1440m' }
  for (const [name, value] of Object.entries(small)) assert.ok(readme.includes(`${name}=${value}`), name)
  const saved = (REDIS_MEMORY_LIMIT - readSettings(small).REDIS_MEMORY_LIMIT) / 1024 ** 2
  assert.ok(sum - saved < 3600, `${sum - saved} MB leave a machine of 4 GB the rest`)
})

tables('give queries that the schema answers', async () => {
  const section = readme.split('### Answers')[1]?.split('\n### ')[0] ?? ''
  const queries = [...section.matchAll(/`(SELECT [^`]+)`/g)].map(([, query = '']) => query)
  assert.is(queries.length, 9)
  const stack = await sharedStack()
  await applyInitFiles(stack.settings)
  const client = await connectClickHouse(stack.settings, 30_000)
  try {
    for (const query of queries) await (await client.query({ query, format: 'JSONEachRow' })).json()
  } finally {
    await client.close()
    await stack.stop()
  }
})

tables.run()
