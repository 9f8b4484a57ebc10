/** Runs a command on a terminal of its own, made by util-linux's or BSD's `script`. */
import { spawn } from 'node:child_process'
import path from 'node:path'
import { ROOT } from '../../scripts/lib/settings/settings.mts'

export interface TerminalOutcome {
  exitCode: number | null
  /** What stood on the screen: both outputs, and what was typed. */
  screen: string
}

/** Milliseconds for the question to appear. */
const QUESTION_MS = 60_000

/**
 * Runs `scripts/<script>` and types `keys` as soon as the screen matches `question`, and `early` before anything is shown. Arguments may
 * not hold spaces or quotes.
 */
export function runOnTerminal(
  script: string,
  args: string[],
  env: NodeJS.ProcessEnv,
  { question, keys, early = '' }: { question: RegExp; keys: string; early?: string },
): Promise<TerminalOutcome> {
  const command = [path.join(ROOT, 'scripts', script), ...args]
  const linux = ['--quiet', '--return', '--command', command.join(' '), '/dev/null']
  const child = spawn('script', process.platform === 'linux' ? linux : ['-q', '/dev/null', ...command], {
    env,
    cwd: ROOT,
  })
  child.stdin.write(early)
  return new Promise((resolve, reject) => {
    let screen = ''
    let typed = false
    const timer = setTimeout(() => {
      child.kill()
      reject(new Error(`Cannot answer: found no question ${question} on the screen:\n${screen}`))
    }, QUESTION_MS)
    child.stdout.on('data', (chunk) => {
      screen += chunk
      if (typed || !question.test(screen)) return
      typed = true
      clearTimeout(timer)
      child.stdin.write(keys)
    })
    child.on('error', reject)
    child.on('close', (exitCode) => {
      clearTimeout(timer)
      resolve({ exitCode, screen })
    })
  })
}
