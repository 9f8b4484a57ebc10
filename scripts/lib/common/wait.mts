import { setTimeout as delay } from 'node:timers/promises'

export interface WaitOptions {
  timeoutMs: number
  pollMs: number
  /** Milliseconds since any fixed point; injected by tests. */
  now?: () => number
  sleep?: (ms: number) => Promise<unknown>
}

/**
 * What `read` gives as soon as `isGood` takes it, or what it gave last when the deadline passed. Reads at once and once more at the deadline;
 * never sleeps past it. What `read` throws is passed on.
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

/** The first value of `check` that is not undefined or false, or undefined; waits as {@link readUntil}. */
export async function waitUntil<T>(
  check: () => Promise<T | undefined | false>,
  options: WaitOptions,
): Promise<T | undefined> {
  const value = await readUntil(check, (each) => each !== undefined && each !== false, options)
  return value === false ? undefined : value
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
