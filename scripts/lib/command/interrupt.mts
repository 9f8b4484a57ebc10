/** Handles Ctrl-C and SIGTERM while work has to be finished or cleaned up first. */

const SIGNALS = ['SIGINT', 'SIGTERM'] as const

/** Milliseconds within which two signals count as one: on Ctrl-C the command gets one from the terminal and one from npm. */
const REPEAT_MS = 500

/**
 * Calls `react` on the first Ctrl-C or SIGTERM instead of ending the process; a later one ends it at once. The returned function restores
 * the default effect of both signals.
 */
export function onInterrupt(react: (signal: NodeJS.Signals) => void): () => void {
  let firstMs: number | undefined
  const release = () => {
    for (const name of SIGNALS) process.removeListener(name, take)
  }
  const take = (signal: NodeJS.Signals) => {
    if (firstMs === undefined) {
      firstMs = performance.now()
      react(signal)
    } else if (performance.now() - firstMs > REPEAT_MS) {
      release()
      process.kill(process.pid, signal)
    }
  }
  for (const name of SIGNALS) process.on(name, take)
  return release
}

export interface DeferredEnd {
  /** Whether a signal has arrived: start nothing new, and clean up. */
  isInterrupted: () => boolean
  /** Ends the process with the signal that arrived, or else lets the next one end it. */
  resume: () => void
}

/** Defers the end of this process by SIGINT or SIGTERM until `resume` is called. */
export function deferEnd(): DeferredEnd {
  let came: NodeJS.Signals | undefined
  const release = onInterrupt((signal) => {
    came = signal
  })
  return {
    isInterrupted: () => came !== undefined,
    resume: () => {
      release()
      if (came) process.kill(process.pid, came)
    },
  }
}
