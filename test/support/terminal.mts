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
  return typeOnTerminal([path.join(ROOT, 'scripts', script), ...args], env, [{ question, keys }], early)
}

/** A command on a terminal of so many columns; without quotes. */
export const withColumns = (columns: number, command: string): string[] => [
  'sh',
  '-c',
  `'stty cols ${columns}; exec ${command}'`,
]

/** Runs any command on a terminal and types the keys of each step in turn, as soon as what came since the last one matches its question. */
export function typeOnTerminal(
  command: string[],
  env: NodeJS.ProcessEnv,
  steps: { question: RegExp; keys: string }[],
  early = '',
): Promise<TerminalOutcome> {
  // `exec`: dash stays beside a command, takes its Ctrl-C too, and ends with 130 whatever the command's own exit code is.
  const linux = ['--quiet', '--return', '--command', `exec ${command.join(' ')}`, '/dev/null']
  const child = spawn('script', process.platform === 'linux' ? linux : ['-q', '/dev/null', ...command], {
    env,
    cwd: ROOT,
  })
  child.stdin.write(early)
  return new Promise((resolve, reject) => {
    let screen = ''
    let seen = 0
    const left = [...steps]
    const giveUp = () => {
      child.kill()
      reject(new Error(`Cannot answer: found no ${left[0]?.question} on the screen:\n${screen}`))
    }
    const timer = left.length === 0 ? undefined : setTimeout(giveUp, QUESTION_MS)
    child.stdout.on('data', (chunk) => {
      screen += chunk
      const [step] = left
      if (!step?.question.test(screen.slice(seen))) return
      left.shift()
      seen = screen.length
      if (left.length === 0) clearTimeout(timer)
      child.stdin.write(step.keys)
    })
    child.on('error', reject)
    child.on('close', (exitCode) => {
      clearTimeout(timer)
      resolve({ exitCode, screen })
    })
  })
}
