#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/../scripts/lib/run" "$f" "$@"
/**
 * `npm test [-- NAME…]` checks types, lint and format, then runs every file of test/unit and test/stack whose name contains a NAME
 * (default: all), each as a separate process. The files of test/stack share one embedded stack, which this run starts on free ports and
 * stops at the end.
 *
 * `npm run test:unit` runs test/unit only, `npm run test:faults` test/faults, whose files start the services that they break, and `npm
 * run test:cluster` test/cluster, whose services require TLS and authentication.
 *
 * The last line counts the tests.
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

/**
 * Number of files that run in parallel: 2, the number of cores of the smallest supported machine. Three times that for test/unit, where
 * many files wait.
 */
const PARALLEL = { unit: 6, faults: 2, cluster: 1, stack: 2 }

/**
 * Milliseconds after which a test file is considered hung. The slowest takes three minutes on a busy machine, the long forms of test/faults
 * take hours.
 */
const FILE_TIMEOUT_MS = process.env.FAULTS === 'long' ? 14_400_000 : 900_000

const print = (line: string) => process.stdout.write(`${line}\n`)
/** The selected folder, if any. */
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

/** Runs a test file and counts its tests by uvu's totals. A file without totals or without tests counts as a failure. */
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

/** Returns the test files of a folder that match the NAMEs. */
const filesOf = (folder: 'unit' | 'faults' | 'cluster' | 'stack') =>
  readdirSync(path.join(ROOT, 'test', folder))
    .filter((file) => file.endsWith('.test.mts') && (names.length === 0 || names.some((name) => file.includes(name))))
    .map((file) => path.join(ROOT, 'test', folder, file))

async function runAll(files: string[], parallel: number, env: NodeJS.ProcessEnv): Promise<void> {
  const queue = [...files]
  const worker = async (_: unknown, index: number) => {
    const slotEnv = { ...env, L2_TEST_SLOT: String(index + 1) }
    for (let file = queue.shift(); file; file = queue.shift()) await runTests(file, slotEnv)
  }
  await Promise.all(Array.from({ length: parallel }, worker))
}

const alone = filesOf(only ?? 'unit')
const stack = only ? [] : filesOf('stack')

if (names.length === 0 && !only) {
  await check('types', 'tsc', ['--noEmit'])
  await check('lint and format', 'biome', ['check', '--error-on-warnings', '.'])
}
// `npm run test:unit` must be quick and work without Docker. `npm test` also compares results with Docker Compose.
const without = only === 'unit' ? { L2_WITHOUT_COMPOSE: 'yes' } : {}
await runAll(alone, PARALLEL[only ?? 'unit'], { ...process.env, NO_COLOR: '1', ...without })
if (stack.length > 0) await onServices((env) => runAll(stack, PARALLEL.stack, env))
if (alone.length + stack.length === 0) count(`no test file named ${names.join(' or ')}`, 0, 1)
for (const file of failedFiles) print(`✗ ${file}`)
print(`${total.passed} passed, ${total.failed} failed`)
process.exitCode = total.failed === 0 ? 0 : 1

/** Calls `work` with the environment of an embedded stack with tables and topics. Stops the stack and deletes its data afterwards. */
async function onServices(work: (env: NodeJS.ProcessEnv) => Promise<void>): Promise<void> {
  const env: NodeJS.ProcessEnv = { ...(await stackEnv()), NO_COLOR: '1' }
  env.L2_TEST_DATA_DIR = env.EMBEDDED_DATA_DIR
  const settings = readSettings(env)
  let starting: Promise<unknown> = Promise.resolve()
  let ending: Promise<void> | undefined
  /** Stops the services and deletes their data, once. Waits for services that are still starting. */
  const end = () => {
    ending ??= (async () => {
      // A failed start stops what it started, and is reported where `starting` is awaited.
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
