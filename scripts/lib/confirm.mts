import { createInterface } from 'node:readline/promises'

/** Milliseconds to answer in: what was shown before the question goes out of date. */
const ANSWER_MS = 300_000

/** Whether there is someone to ask: the question goes to stderr, the answer comes from stdin. */
export const canAsk = (): boolean => process.stdin.isTTY === true && process.stderr.isTTY === true

/**
 * True only when exactly `word` is typed. Enter, anything else, Ctrl-C, Ctrl-D, a closed terminal and no answer in five minutes all
 * mean No.
 */
export async function confirmWord(question: string, word: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const stop = new AbortController()
  // Ctrl-C and Ctrl-D: without a listener readline would leave the question open for ever.
  terminal.once('SIGINT', () => stop.abort())
  terminal.once('close', () => stop.abort())
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
