import { createInterface } from 'node:readline/promises'
import { setTimeout as delay, setImmediate as poll } from 'node:timers/promises'
import { configError, error } from '../common/findings.mts'

/** Milliseconds to wait for an answer; after that, what was shown with the question may be out of date. */
const ANSWER_MS = 300_000

/** Milliseconds to wait for input that was typed before the question. */
const EARLY_MS = 100

/** Reports whether stdin and stderr are terminals: the question goes to stderr, the answer comes from stdin. */
export const canAsk = (): boolean => process.stdin.isTTY === true && process.stderr.isTTY === true

/** @throws {OpsError} exit code 2 without a terminal; `hint` names the flag that makes the question unnecessary */
export function requireTerminal(subject: string, found: string, hint: string): void {
  if (!canAsk()) throw configError([error('CONFIRM', subject, { found, hint })])
}

const CTRL_C = '\x03'

/** Discards and returns the input typed so far, including incomplete lines, which would otherwise answer the question. */
async function takeEarly(): Promise<string> {
  let typed = ''
  const take = (chunk: Buffer) => {
    typed += chunk
  }
  process.stdin.setRawMode(true).on('data', take)
  await delay(EARLY_MS)
  // If the delay ends before the event loop has polled stdin once, this waits for that poll.
  await poll()
  process.stdin.off('data', take).pause().setRawMode(false)
  return typed
}

/**
 * Asks the question and reports whether exactly `word` was typed after it. Enter, anything else, Ctrl-C, Ctrl-D, a closed terminal and no
 * answer within five minutes all mean No.
 */
export async function confirmWord(question: string, word: string): Promise<boolean> {
  if ((await takeEarly()).includes(CTRL_C)) return false
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const stop = new AbortController()
  // Ctrl-C and Ctrl-D: without these listeners the question would never return.
  terminal.once('SIGINT', () => stop.abort())
  terminal.once('close', () => stop.abort())
  // Ctrl-Z stops this process and its parent npm, if any; after `fg` the terminal returns to raw mode.
  terminal.on('SIGTSTP', () => {
    process.once('SIGCONT', () => {
      process.stdin.setRawMode(true)
      terminal.pause()
      terminal.prompt(true)
    })
    process.stdin.setRawMode(false)
    process.kill(0, 'SIGTSTP')
  })
  const timer = setTimeout(() => stop.abort(), ANSWER_MS)
  try {
    return (await terminal.question(question, { signal: stop.signal })) === word
  } catch (error) {
    if (!stop.signal.aborted) throw error
    process.stderr.write('\n')
    return false
  } finally {
    clearTimeout(timer)
    terminal.close()
  }
}
