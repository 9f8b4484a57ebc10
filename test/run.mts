#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/../scripts/lib/run" "$f" "$@"
/**
 * `npm test [-- NAME…]`: types, lint and format, then every file of test/unit and test/stack (or those whose name holds a NAME) as a process
 * of its own. The files of test/stack run against one embedded stack that this run starts on free ports and stops again. `npm run
 * test:unit` runs test/unit alone, `npm run test:faults` test/faults, whose files start the services that they break, and `npm run
 * test:cluster` test/cluster, whose services ask for TLS and logins. The last line counts the tests.
 */
import { readdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { onInterrupt } from '../scripts/lib/command/interrupt.mts'
import { install } from '../scripts/lib/engines/embedded/install.mts'
import { startEmbedded, stopEmbedded } from '../scripts/lib/engines/embedded/stack.mts'
import { ROOT, readSettings } from '../scripts/lib/settings/settings.mts'
import { syncTopics } from '../scripts/lib/topics/topics.mts'
import { runFile } from './support/command.mts'
import { applyInitFiles, stackEnv } from './support/stack.mts'

/** Files that run side by side: as many as the smallest supported machine has cores, and of test/unit, many of whose files wait, three times that. */
const PARALLEL = { unit: 6, faults: 2, cluster: 1, stack: 2 }

/** A test file that takes so long hangs: the slowest takes three minutes on a busy machine, the long forms of test/faults hours. */
const FILE_TIMEOUT_MS = process.env.FAULTS === 'long' ? 14_400_000 : 900_000

const print = (line: string) => process.stdout.write(`${line}\n`)
/** The one folder that was asked for. */
const only = (['unit', 'faults', 'cluster'] as const).find((folder) => process.argv.includes(`--${folder}`))
const names = process.argv.slice(2).filter((argument) => argument !== `--${only}`)
const total = { passed: 0, failed: 0 }
const failedFiles: string[] = []

function count(file: string, passed: number, failed: number): void {
  total.passed += passed
  total.failed += failed
  if (failed > 0) failedFiles.push(file)
}

async function check(title: string, command: string, args: string[]): Promise<void> {
  const { exitCode, stdout, stderr } = await runFile(path.join(ROOT, 'node_modules', '.bin', command), args)
  print(`${exitCode === 0 ? '✓' : '✗'} ${title}`)
  if (exitCode !== 0) print(`${stdout}${stderr}`)
  count(title, exitCode === 0 ? 1 : 0, exitCode === 0 ? 0 : 1)
}

/** uvu's own totals. A file without any, or of no tests, forgot to run them: that is a failure. */
async function runTests(file: string, env: NodeJS.ProcessEnv): Promise<void> {
  const startMs = performance.now()
  const { exitCode, stdout, stderr } = await runFile(path.join(ROOT, 'scripts/lib/run'), [file], {
    env,
    timeoutMs: FILE_TIMEOUT_MS,
  })
  const number = (label: string) => Number(new RegExp(`^\\s*${label}:\\s+(\\d+)`, 'm').exec(stdout)?.[1] ?? 0)
  const [tests, passed] = [number('Total'), number('Passed')]
  const failed = exitCode === 0 && tests > 0 ? tests - passed : Math.max(1, tests - passed)
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1)
  print(`${failed === 0 ? '✓' : '✗'} ${path.relative(ROOT, file)}: ${passed} of ${tests} in ${seconds} s`)
  for (const line of stdout.match(/^· .*$/gm) ?? []) print(`  ${line}`)
  if (failed > 0) print(`${stdout}${stderr}`)
  count(path.relative(ROOT, file), passed, failed)
}

/** The test files of a folder that were asked for. */
const filesOf = (folder: 'unit' | 'faults' | 'cluster' | 'stack') =>
  readdirSync(path.join(ROOT, 'test', folder))
    .filter((file) => file.endsWith('.test.mts') && (names.length === 0 || names.some((name) => file.includes(name))))
    .map((file) => path.join(ROOT, 'test', folder, file))

async function runAll(files: string[], parallel: number, env: NodeJS.ProcessEnv): Promise<void> {
  const queue = [...files]
  const worker = async (_: unknown, index: number) => {
    const own = { ...env, L2_TEST_SLOT: String(index + 1) }
    for (let file = queue.shift(); file; file = queue.shift()) await runTests(file, own)
  }
  await Promise.all(Array.from({ length: parallel }, worker))
}

const alone = filesOf(only ?? 'unit')
const stack = only ? [] : filesOf('stack')

if (names.length === 0 && !only) {
  await check('types', 'tsc', ['--noEmit'])
  await check('lint and format', 'biome', ['check', '--error-on-warnings', '.'])
}
// By itself, test/unit is for machines without Docker too, and quick: what it compares with Docker Compose is left to `npm test`.
const without = only === 'unit' ? { L2_WITHOUT_COMPOSE: 'yes' } : {}
await runAll(alone, PARALLEL[only ?? 'unit'], { ...process.env, NO_COLOR: '1', ...without })
if (stack.length > 0) await onServices((env) => runAll(stack, PARALLEL.stack, env))
if (alone.length + stack.length === 0) count(`no test file named ${names.join(' or ')}`, 0, 1)
for (const file of failedFiles) print(`✗ ${file}`)
print(`${total.passed} passed, ${total.failed} failed`)
process.exitCode = total.failed === 0 ? 0 : 1

/** Runs `work` in the environment of an embedded stack with tables and topics, which is stopped and deleted after it. */
async function onServices(work: (env: NodeJS.ProcessEnv) => Promise<void>): Promise<void> {
  const env: NodeJS.ProcessEnv = { ...(await stackEnv()), NO_COLOR: '1' }
  env.L2_TEST_DATA_DIR = env.EMBEDDED_DATA_DIR
  const settings = readSettings(env)
  let starting: Promise<unknown> = Promise.resolve()
  let ending: Promise<void> | undefined
  /** Stops the services and deletes their data, once; those that still start, when they have. */
  const end = () => {
    ending ??= (async () => {
      // A start that fails stops what it began, and says why where it is awaited.
      await starting.catch(() => {})
      await stopEmbedded(settings.EMBEDDED_DATA_DIR)
      rmSync(settings.EMBEDDED_DATA_DIR, { recursive: true, force: true })
    })()
    return ending
  }
  onInterrupt(async () => {
    await end()
    process.exit(1)
  })
  try {
    print('Starting the services for the tests')
    const installed = await install(settings.KAFKA_MODE, print)
    if (!ending) starting = startEmbedded(settings, installed, print)
    await starting
    await applyInitFiles(settings)
    await syncTopics(settings, { mode: 'apply', timeoutMs: 60_000, log: print })
    await work(env)
  } finally {
    await end()
  }
}
