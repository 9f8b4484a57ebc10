import { setTimeout as delay } from 'node:timers/promises'

export interface WaitOptions {
  timeoutMs: number
  pollMs: number
  /** Milliseconds since any fixed point; injected by tests. */
  now?: () => number
  sleep?: (ms: number) => Promise<unknown>
}

/**
 * The first value of `check` that is not undefined or false, or undefined when the deadline passed without one. Checks at
 * once and once more at the deadline; never sleeps past it. What `check` throws is passed on.
 */
export async function waitUntil<T>(
  check: () => Promise<T | undefined | false>,
  { timeoutMs, pollMs, now = performance.now.bind(performance), sleep = delay }: WaitOptions,
): Promise<T | undefined> {
  const deadline = now() + timeoutMs
  for (;;) {
    const value = await check()
    if (value !== undefined && value !== false) return value
    const leftMs = deadline - now()
    if (leftMs <= 0) return undefined
    await sleep(Math.min(pollMs, leftMs))
  }
}

/**
 * What `work` comes to. The timer alone keeps no process alive, and `work` goes on.
 * @throws {Error} with `message`, when that takes longer than `timeoutMs`
 */
export function inTime<T>(work: Promise<T>, timeoutMs: number, message: string): Promise<T> {
  const late = delay(timeoutMs, undefined, { ref: false }).then(() => {
    throw new Error(message)
  })
  return Promise.race([work, late])
}
