/** Runs the real commands as child processes. */
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
  /** Written to standard input, which is then closed. */
  stdin?: string
  /** Called with all standard error output so far, whenever there is more, and the process id. */
  watch?: (stderr: string, pid: number) => void
  /** Milliseconds after which the process is killed. There is no limit by default. */
  timeoutMs?: number
}

/** Minimum length in characters. Shorter passwords also occur in ordinary words. */
const SECRET_LENGTH = 4

/** Returns the name of a password variable whose value appears in a command's output, or undefined. Passwords must never appear there. */
function shownSecret(output: string, env: NodeJS.ProcessEnv): string | undefined {
  const passwords = Object.entries(env).filter(([name]) => isSecret(name))
  const known: [string, string | undefined][] = [...passwords, ['the default CLICKHOUSE_PASSWORD', 'l2_secure_pass']]
  return known.find(([, value]) => value && value.length >= SECRET_LENGTH && output.includes(value))?.[0]
}

/** Runs `scripts/<script>` with `args`, and returns its exit code and complete output. */
export function runScript(script: string, args: string[], options: CommandOptions = {}): Promise<Outcome> {
  return runFile(path.join(ROOT, 'scripts', script), args, options)
}

/** Runs any executable file in the same way. */
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
      // Checks only our own commands, because `docker inspect` shows a container's environment.
      const shown = file.endsWith('.mts') ? shownSecret(`${stdout}${stderr}`, options.env) : undefined
      if (shown) reject(new Error(`${path.basename(file)} ${args.join(' ')} shows ${shown}`))
      else resolve({ exitCode, stdout, stderr })
    })
    child.stdin.on('error', () => {
      // EPIPE: the command exited without reading its input.
    })
    child.stdin.end(stdin)
  })
}

/** Kills a command with SIGKILL as soon as its standard error contains `text`. */
export const killOn = (text: string | RegExp): CommandOptions => ({
  watch: (stderr, pid) => {
    if (typeof text === 'string' ? !stderr.includes(text) : !text.test(stderr)) return
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // ESRCH: the process has already exited.
    }
  },
})

/** Starts a long-running script. Returns its process, its output so far, and a promise of its exit code. */
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
