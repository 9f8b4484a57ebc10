/** Runs the real commands as processes. */
import { spawn } from 'node:child_process'
import path from 'node:path'
import { isSecret } from '../../scripts/lib/settings/environment.mts'
import { ROOT } from '../../scripts/lib/settings/settings.mts'

export interface Outcome {
  exitCode: number | null
  stdout: string
  stderr: string
}

export interface CommandOptions {
  env?: NodeJS.ProcessEnv
  cwd?: string
  /** Written to its standard input, which is then closed. */
  stdin?: string
  /** Told all of its standard error so far, whenever more comes, and its process id. */
  watch?: (stderr: string, pid: number) => void
  /** Milliseconds after which it is killed; without it, it may take for ever. */
  timeoutMs?: number
}

/** Shorter ones are parts of ordinary words. */
const SECRET_LENGTH = 4

/** The variable of a password that stands in what a command printed; undefined for none. No test wants one there. */
function shownSecret(output: string, env: NodeJS.ProcessEnv): string | undefined {
  const passwords = Object.entries(env).filter(([name]) => isSecret(name))
  const known: [string, string | undefined][] = [...passwords, ['the default CLICKHOUSE_PASSWORD', 'l2_secure_pass']]
  return known.find(([, value]) => value && value.length >= SECRET_LENGTH && output.includes(value))?.[0]
}

/** Runs `scripts/<script>` with `args` and returns its exit code and everything that it printed. */
export function runScript(script: string, args: string[], options: CommandOptions = {}): Promise<Outcome> {
  return runFile(path.join(ROOT, 'scripts', script), args, options)
}

/** Runs any executable file the same way. */
export function runFile(
  file: string,
  args: string[],
  { env, cwd, stdin = '', watch, timeoutMs }: CommandOptions = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const options = { env: env ?? process.env, cwd: cwd ?? ROOT }
    const child = spawn(file, args, timeoutMs ? { ...options, timeout: timeoutMs, killSignal: 'SIGKILL' } : options)
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk) => {
      stdout += chunk
    })
    child.stderr.on('data', (chunk) => {
      stderr += chunk
      if (child.pid !== undefined) watch?.(stderr, child.pid)
    })
    child.on('error', reject)
    child.on('close', (exitCode) => {
      // Only our own commands: Docker shows the environment of containers to who asks for it.
      const shown = file.endsWith('.mts') ? shownSecret(`${stdout}${stderr}`, options.env) : undefined
      if (shown) reject(new Error(`${path.basename(file)} ${args.join(' ')} shows ${shown}`))
      else resolve({ exitCode, stdout, stderr })
    })
    child.stdin.on('error', () => {
      // EPIPE: a command that ended without reading its input.
    })
    child.stdin.end(stdin)
  })
}

/** A script that goes on until it is ended: its process, its output so far, and its exit code when it has ended. */
export function startScript(script: string, args: string[], env: NodeJS.ProcessEnv) {
  const child = spawn(path.join(ROOT, 'scripts', script), args, { env, cwd: ROOT })
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk) => {
    output.stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    output.stderr += chunk
  })
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
  return { child, output, ended }
}
