/** Writes messages to standard output, as long as it is being read. */
import { once } from 'node:events'
import { onInterrupt } from '../command/interrupt.mts'
import type { Paint } from '../common/findings.mts'
import { type Columns, messageJson, renderMessage } from './render.mts'
import type { Sink } from './tail.mts'

export interface Output extends Sink {
  /** Whether Ctrl-C or SIGTERM was received. */
  interrupted: () => boolean
  close: () => void
}

/**
 * Returns a sink that writes one line for each message to stdout and waits while its buffer is full. The sink stops at the first Ctrl-C or
 * SIGTERM, and when the reader closes the pipe, as `head` does.
 */
export function openOutput(stdout: NodeJS.WriteStream, { json, paint }: { json: boolean; paint: Paint }): Output {
  let [isStopped, isInterrupted] = [false, false]
  let end: () => void = () => {}
  const stop = new Promise<void>((resolve) => {
    end = () => {
      isStopped = true
      resolve()
    }
  })
  const release = onInterrupt(() => {
    isInterrupted = true
    end()
  })
  stdout.on('error', end)
  let columns: Columns = { partition: 1, offset: 1, width: undefined }
  return {
    begin: ({ ranges }) => {
      const digits = (numbers: number[]) => String(Math.max(0, ...numbers)).length
      columns = {
        partition: digits(ranges.map(({ partition }) => partition)),
        offset: digits(ranges.map(({ high }) => high)),
        width: undefined,
      }
    },
    write: async (messages) => {
      // A terminal that does not know its width reports 0.
      const width = stdout.isTTY && stdout.columns > 0 ? stdout.columns : undefined
      const line = (message: (typeof messages)[number]) =>
        json ? messageJson(message) : renderMessage(message, { ...columns, width }, paint)
      for (const message of messages) {
        if (isStopped) return
        if (stdout.write(`${line(message)}\n`)) continue
        await Promise.race([once(stdout, 'drain'), stop])
      }
    },
    stop,
    stopped: () => isStopped,
    interrupted: () => isInterrupted,
    close: () => {
      release()
      stdout.off('error', end)
    },
  }
}
