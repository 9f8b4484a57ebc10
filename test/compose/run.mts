#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/../../scripts/lib/run" "$f" "$@"
/**
 * `npm run test:compose -- [--stand-ins] [--clean] [NAME…]` tests the shipped docker-compose.yml on a real Docker Engine, in a copy
 * of the shipped files, from the first start to removal. Reports which images were used and what was verified.
 *
 * NAME runs only the test files whose name contains it. --stand-ins never pulls an image. --clean first deletes the containers and volumes
 * of the compose project l2, which an interrupted run leaves behind; without it, such leftovers are refused.
 *
 * Exit codes: 0 all tests passed, 1 a test failed, 2 invalid usage, 3 no engine, the project already exists, or its ports are taken.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { probe } from '../../scripts/lib/ports/probe.mts'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { DEFAULT_PORTS, PROJECT, run, volumes } from './engine.mts'
import { chooseImages, type Image } from './images.mts'
import { openFilesLimit, present, removeAll } from './machine.mts'
import { renderReport } from './report.mts'
import type { Result } from './suite.mts'

/** What users get, as far as the stack and its commands need it. */
const SHIPPED = [
  ...['docker-compose.yml', 'docker-compose.prod.yml', '.env.template', 'README.md', 'package.json'],
  ...['clickhouse', 'kafka', 'redis', 'zookeeper', 'scripts', 'embedded'],
]
const FOLDER = path.join(ROOT, 'test', 'compose')
/** Milliseconds after which a test file is considered hung. The slowest takes three minutes. */
const FILE_TIMEOUT_MS = 1_800_000

/** The test file that is running. */
let running: ChildProcess | undefined

const print = (line: string) => process.stdout.write(`${line}\n`)

function refuse(exitCode: 2 | 3, found: string, hint: string): void {
  process.stderr.write(`Cannot run the compose tests: ${found}\n    → ${hint}\n`)
  process.exitCode = exitCode
}

async function main(args: string[]): Promise<void> {
  const flags = args.filter((argument) => argument.startsWith('-'))
  const names = args.filter((argument) => !argument.startsWith('-'))
  const unknown = flags.filter((flag) => !['--stand-ins', '--clean'].includes(flag))
  const files = readdirSync(FOLDER)
    .filter((file) => file.endsWith('.test.mts') && (names.length === 0 || names.some((name) => file.includes(name))))
    .sort()
  if (unknown.length > 0 || files.length === 0) {
    const problem = unknown.length > 0 ? `unknown flag ${unknown.join(', ')}` : `no test file named ${names.join(', ')}`
    return refuse(2, problem, 'npm run test:compose -- [--stand-ins] [--clean] [NAME…]')
  }
  if ((await run(['docker', 'info'])).exitCode !== 0) {
    return refuse(3, 'no running Docker Engine', 'start Docker, or: eval "$(test/compose/install-engine.sh start)"')
  }
  if (flags.includes('--clean')) await removeAll()
  const found = await present()
  if (found.length > 0) {
    const hint = `if you need none of it: npm run test:compose -- --clean`
    return refuse(
      3,
      `the compose project ${PROJECT} already exists (${found.map(({ name }) => name).join(', ')})`,
      hint,
    )
  }
  const taken: number[] = []
  for (const port of DEFAULT_PORTS) if ((await probe('tcp', '127.0.0.1', port)) === 'taken') taken.push(port)
  if (taken.length > 0) {
    // Also a safety check: if a stack of the user is listening there, a test would reset its topics.
    return refuse(3, `ports ${taken.join(', ')} are taken`, 'npm run ports (names the programs); npm stop')
  }
  await runAll(await chooseImages(flags.includes('--stand-ins'), print), files)
}

async function runAll(images: Image[], files: string[]): Promise<void> {
  const startMs = performance.now()
  const tree = mkdtempSync(path.join(tmpdir(), 'l2-compose-'))
  const reportFile = path.join(tree, 'report.jsonl')
  const limit = await openFilesLimit(images)
  const env = {
    ...process.env,
    L2_COMPOSE_TREE: tree,
    L2_COMPOSE_REPORT: reportFile,
    L2_COMPOSE_IMAGES: JSON.stringify(images),
    L2_COMPOSE_FOREIGN_VOLUMES: JSON.stringify(await volumes()),
    L2_COMPOSE_ENV: JSON.stringify({
      ...Object.fromEntries(images.filter(({ kind }) => kind !== 'real').map(({ variable, name }) => [variable, name])),
      ...(limit === undefined ? {} : { CLICKHOUSE_MAX_OPEN_FILES: String(limit) }),
    }),
  }
  let interrupted = false
  const interrupt = () => {
    interrupted = true
    running?.kill()
  }
  process.on('SIGINT', interrupt)
  process.on('SIGTERM', interrupt)
  const incomplete: string[] = []
  try {
    writeFileSync(reportFile, '')
    for (const part of SHIPPED.filter((part) => existsSync(path.join(ROOT, part))))
      cpSync(path.join(ROOT, part), path.join(tree, part), { recursive: true })
    symlinkSync(path.join(ROOT, 'node_modules'), path.join(tree, 'node_modules'))
    for (const file of files) {
      if (interrupted) break
      const { exitCode, stdout } = await runTests(path.join(FOLDER, file), env)
      // uvu exits with 0 even if no test ran, so its total is checked.
      if (exitCode !== 0 || !/^\s*Total:\s+[1-9]/m.test(stdout)) {
        incomplete.push(file)
        print(stdout)
      }
    }
  } finally {
    const lines = readFileSync(reportFile, 'utf8').split('\n').filter(Boolean)
    await removeAll()
    rmSync(tree, { recursive: true, force: true })
    const results = lines.map((line) => JSON.parse(line) as Result)
    const tookMs = performance.now() - startMs
    print(await renderReport({ images, results, incomplete, limit, tookMs, interrupted }))
    process.exitCode = incomplete.length === 0 && !interrupted && results.length > 0 ? 0 : 1
  }
}

/** Runs a test file as a separate process: progress goes to stderr, uvu's output is returned. */
function runTests(file: string, env: NodeJS.ProcessEnv): Promise<{ exitCode: number | null; stdout: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(path.join(ROOT, 'scripts/lib/run'), [file], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: FILE_TIMEOUT_MS,
      killSignal: 'SIGKILL',
    })
    running = child
    let stdout = ''
    child.stdout.on('data', (chunk) => {
      stdout += chunk
    })
    child.on('error', reject)
    child.on('close', (exitCode) => resolve({ exitCode, stdout }))
  })
}

await main(process.argv.slice(2))
