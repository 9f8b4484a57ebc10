/** Runs a command on a new pseudo-terminal, created by `script` of util-linux or BSD. */
import { spawn } from 'node:child_process'
import path from 'node:path'
import { ROOT } from '../../scripts/lib/settings/settings.mts'

export interface TerminalOutcome {
  exitCode: number | null
  /** Everything shown on the screen: standard output, standard error, and the echoed input. */
  screen: string
}

/** Milliseconds to wait for each question. */
const QUESTION_MS = 60_000

/**
 * Runs `scripts/<script>`, types `early` at once, and types `keys` as soon as the screen matches `question`. Arguments must not contain
 * spaces or quotes.
 */
export function runOnTerminal(
  script: string,
  args: string[],
  env: NodeJS.ProcessEnv,
  { question, keys, early = '' }: { question: RegExp; keys: string; early?: string },
): Promise<TerminalOutcome> {
  return typeOnTerminal([path.join(ROOT, 'scripts', script), ...args], env, [{ question, keys }], early)
}

/** Returns a command that runs on a terminal with this many columns. The command must not contain quotes. */
export const withColumns = (columns: number, command: string): string[] => [
  'sh',
  '-c',
  `'stty cols ${columns}; exec ${command}'`,
]

/** Runs any command on a terminal. Types the keys of each step as soon as the output since the previous step matches its question. */
export function typeOnTerminal(
  command: string[],
  env: NodeJS.ProcessEnv,
  steps: { question: RegExp; keys: string }[],
  early = '',
): Promise<TerminalOutcome> {
  // `exec`, because dash would otherwise stay as the parent process, receive Ctrl-C too, and exit with 130 whatever the command's exit
  // code.
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
