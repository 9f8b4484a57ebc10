import { createInterface } from 'node:readline/promises'
import { setTimeout as delay, setImmediate as poll } from 'node:timers/promises'
import { configError, error } from '../common/findings.mts'

/** Milliseconds to answer: what was shown before the question goes out of date. */
const ANSWER_MS = 300_000

/** Milliseconds for what was typed before the question to arrive. */
const EARLY_MS = 100

/** Whether a person can answer: the question goes to stderr, the answer comes from stdin. */
export const canAsk = (): boolean => process.stdin.isTTY === true && process.stderr.isTTY === true

/** @throws {OpsError} exit code 2 when there is nobody to ask, with what was `found` and the flag that makes the question needless */
export function requireTerminal(subject: string, found: string, hint: string): void {
  if (!canAsk()) throw configError([error('CONFIRM', subject, { found, hint })])
}

const CTRL_C = '\x03'

/** Takes what has been typed so far off the terminal, which would keep it for the next reader, incomplete lines included. */
async function takeEarly(): Promise<string> {
  let typed = ''
  const take = (chunk: Buffer) => {
    typed += chunk
  }
  process.stdin.setRawMode(true).on('data', take)
  await delay(EARLY_MS)
  // Should that time have passed before the first look at the terminal, this comes after it.
  await poll()
  process.stdin.off('data', take).pause().setRawMode(false)
  return typed
}

/**
 * True only when exactly `word` is typed, after the question. Enter, anything else, Ctrl-C, Ctrl-D, a closed terminal and no answer in five minutes all
 * mean No.
 */
export async function confirmWord(question: string, word: string): Promise<boolean> {
  if ((await takeEarly()).includes(CTRL_C)) return false
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const stop = new AbortController()
  // Ctrl-C and Ctrl-D: without a listener readline would leave the question open for ever.
  terminal.once('SIGINT', () => stop.abort())
  terminal.once('close', () => stop.abort())
  // Ctrl-Z stops this process and npm before it, if there is one; after `fg` keys are taken again.
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
