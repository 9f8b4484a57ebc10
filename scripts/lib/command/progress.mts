/** How far a long work is, on stderr: a bar on a terminal, lines elsewhere. */

const WIDTH = 30
/** Milliseconds between two drawings. */
const EVERY_MS = 100

/**
 * @returns `show` draws the bar (a part from 0 to 1, or undefined when the end is not known, and what to say beside it), not more often
 *   than the eye follows; `clear` takes it away
 */
export function progressBar(
  stream: { isTTY?: boolean; columns?: number; write: (text: string) => unknown },
  now: () => number = performance.now.bind(performance),
): { show: (part: number | undefined, text: string) => void; clear: () => void } {
  if (!stream.isTTY) return { show: () => {}, clear: () => {} }
  let drawnMs = Number.NEGATIVE_INFINITY
  return {
    show: (part, text) => {
      if (now() - drawnMs < EVERY_MS) return
      drawnMs = now()
      const full = part === undefined ? 0 : Math.round(Math.min(1, part) * WIDTH)
      const percent = part === undefined ? '' : ` ${String(Math.floor(Math.min(1, part) * 100)).padStart(3)} %`
      const bar = part === undefined ? '' : `[${'#'.repeat(full)}${'.'.repeat(WIDTH - full)}]${percent}  `
      stream.write(`\r\u001b[K${`${bar}${text}`.slice(0, (stream.columns ?? 80) - 1)}`)
    },
    clear: () => {
      if (drawnMs > Number.NEGATIVE_INFINITY) stream.write('\r\u001b[K')
    },
  }
}

/** Milliseconds between two lines. */
const LINE_EVERY_MS = 5_000

/** @returns `show` logs a line every few seconds, off a terminal: how far the work is (from 0 to 1) and what to say beside it */
export function progressLines(
  stream: { isTTY?: boolean },
  log: (line: string) => void,
  now: () => number = performance.now.bind(performance),
): { show: (part: number, text: string) => void } {
  let loggedMs = now()
  return {
    show: (part, text) => {
      if (stream.isTTY || now() - loggedMs < LINE_EVERY_MS) return
      loggedMs = now()
      log(part > 0 ? `${Math.floor(Math.min(1, part) * 100)} %  ${text}` : text)
    },
  }
}

/**
 * Both on this process's stderr: a bar on a terminal, else lines by `log`.
 * @returns `show` takes a part from 0 to 1, or undefined when the end is not known; `clear` takes the bar away
 */
export function showProgress(log: (line: string) => void): {
  show: (part: number | undefined, text: string) => void
  clear: () => void
} {
  const [bar, lines] = [progressBar(process.stderr), progressLines(process.stderr, log)]
  return {
    show: (part, text) => {
      bar.show(part, text)
      lines.show(part ?? 0, text)
    },
    clear: bar.clear,
  }
}
