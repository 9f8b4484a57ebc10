/** The end of this process by Ctrl-C or SIGTERM, put off until what was begun is tidied up. */
const SIGNALS = ['SIGINT', 'SIGTERM'] as const

export interface DeferredEnd {
  /** Whether a signal came: begin nothing more, tidy up. */
  asked: () => boolean
  /** Ends the process by the signal that came; without one, lets the next one do so. */
  resume: () => void
}

/** Puts the end off, once: a second signal ends the process at once. */
export function deferEnd(): DeferredEnd {
  let came: NodeJS.Signals | undefined
  const release = () => {
    for (const name of SIGNALS) process.removeListener(name, note)
  }
  const note = (name: NodeJS.Signals) => {
    came = name
    release()
  }
  for (const name of SIGNALS) process.on(name, note)
  return {
    asked: () => came !== undefined,
    resume: () => {
      release()
      if (came) process.kill(process.pid, came)
    },
  }
}
