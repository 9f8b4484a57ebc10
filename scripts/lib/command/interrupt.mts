/** Ctrl-C and SIGTERM while something has to be finished or tidied up first. */
const SIGNALS = ['SIGINT', 'SIGTERM'] as const

/**
 * Calls `react` with the first Ctrl-C or SIGTERM instead of ending the process; a second one ends it at once. The returned function gives
 * both signals their usual effect back.
 */
export function onInterrupt(react: (signal: NodeJS.Signals) => void): () => void {
  const release = () => {
    for (const name of SIGNALS) process.removeListener(name, take)
  }
  const take = (signal: NodeJS.Signals) => {
    release()
    react(signal)
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
