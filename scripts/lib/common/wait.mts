import { setTimeout as delay } from 'node:timers/promises'

export interface WaitOptions {
  timeoutMs: number
  pollMs: number
  /** A clock in milliseconds; injected by tests. */
  now?: () => number
  sleep?: (ms: number) => Promise<unknown>
}

/**
 * Polls `read` until `isGood` accepts its value or the deadline passes, and returns the last value. Reads immediately and once more at the
 * deadline; never sleeps past it. Errors of `read` are thrown.
 */
export async function readUntil<T>(
  read: () => Promise<T>,
  isGood: (value: T) => boolean,
  { timeoutMs, pollMs, now = performance.now.bind(performance), sleep = delay }: WaitOptions,
): Promise<T> {
  const deadline = now() + timeoutMs
  for (;;) {
    const value = await read()
    if (isGood(value)) return value
    const leftMs = deadline - now()
    if (leftMs <= 0) return value
    await sleep(Math.min(pollMs, leftMs))
  }
}

/** Polls `check` as {@link readUntil} does; returns its first value that is not undefined or false, or undefined at the deadline. */
export async function waitUntil<T>(
  check: () => Promise<T | undefined | false>,
  options: WaitOptions,
): Promise<T | undefined> {
  const value = await readUntil(check, (each) => each !== undefined && each !== false, options)
  return value === false ? undefined : value
}

/**
 * Returns the result of `work`. On a timeout `work` is not cancelled. Keeps the process alive until then: a promise that nothing settles would
 * end it with exit code 0.
 * @throws {Error} with `message`, when `work` takes longer than `timeoutMs`
 */
export function inTime<T>(work: Promise<T>, timeoutMs: number, message: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(message)), timeoutMs)
    work.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
