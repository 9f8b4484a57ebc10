/** Shows the progress of long work on stderr: a bar on a terminal, lines elsewhere. */

const WIDTH = 30
/** Minimum milliseconds between two updates of the bar. */
const BAR_EVERY_MS = 100
/** Minimum milliseconds between two lines. */
const LINE_EVERY_MS = 5_000

/**
 * @param log receives the lines
 * @returns `show` takes the fraction done, from 0 to 1 or undefined if unknown, and a text beside it; `clear` removes the bar
 */
export function showProgress(
  log: (line: string) => void,
  stream: { isTTY?: boolean; columns?: number; write: (text: string) => unknown } = process.stderr,
  now: () => number = performance.now.bind(performance),
): { show: (part: number | undefined, text: string) => void; clear: () => void } {
  let shownMs = stream.isTTY ? Number.NEGATIVE_INFINITY : now()
  return {
    show: (part, text) => {
      if (now() - shownMs < (stream.isTTY ? BAR_EVERY_MS : LINE_EVERY_MS)) return
      shownMs = now()
      const done = Math.min(1, part ?? 0)
      const percent = Math.floor(done * 100)
      if (!stream.isTTY) return log(done > 0 ? `${percent} %  ${text}` : text)
      const bar = '#'.repeat(Math.round(done * WIDTH)).padEnd(WIDTH, '.')
      const shown = part === undefined ? text : `[${bar}] ${String(percent).padStart(3)} %  ${text}`
      stream.write(`\r\u001b[K${shown.slice(0, (stream.columns ?? 80) - 1)}`)
    },
    clear: () => {
      if (stream.isTTY && shownMs > Number.NEGATIVE_INFINITY) stream.write('\r\u001b[K')
    },
  }
}
