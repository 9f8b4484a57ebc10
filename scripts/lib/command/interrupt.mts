/** Ctrl-C and SIGTERM while something has to be finished or tidied up first. */
const SIGNALS = ['SIGINT', 'SIGTERM'] as const

/** npm passes a Ctrl-C on to its command, which gets that of the terminal too: milliseconds in which both are one. */
const REPEAT_MS = 500

/**
 * Calls `react` with the first Ctrl-C or SIGTERM instead of ending the process; a later one ends it at once. The returned function gives
 * both signals their usual effect back.
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
  /** Whether a signal came: begin nothing more, tidy up. */
  asked: () => boolean
  /** Ends the process by the signal that came; without one, lets the next one do so. */
  resume: () => void
}

/** Defers the end of this process by a signal until `resume`. */
export function deferEnd(): DeferredEnd {
  let came: NodeJS.Signals | undefined
  const release = onInterrupt((signal) => {
    came = signal
  })
  return {
    asked: () => came !== undefined,
    resume: () => {
      release()
      if (came) process.kill(process.pid, came)
    },
  }
}
