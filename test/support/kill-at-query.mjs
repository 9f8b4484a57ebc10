/**
 * Kills a process at an exact moment of a command's communication with ClickHouse, when preloaded into the command
 * (`NODE_OPTIONS=--import`). L2_KILL_AT describes the moment as JSON: the `nth` statement that contains `text`; `when` it is `sent`, or
 * when its answer has arrived (`answered`) but has not been read; `afterMs` milliseconds later; and the `pid` of the process to kill, 0 for
 * the command itself. Reports each kill on stderr just before it happens.
 */
import { writeSync } from 'node:fs'
import { Socket } from 'node:net'

const { text, nth, when, afterMs = 0, pid } = JSON.parse(process.env.L2_KILL_AT ?? '{}')
let seen = 0

function strike() {
  writeSync(2, `[kill at ${text} ${nth}]\n`)
  process.kill(pid || process.pid, 'SIGKILL')
}
const soon = () => (afterMs > 0 ? setTimeout(strike, afterMs) : strike())

const { write } = Socket.prototype
Socket.prototype.write = function writeAndWatch(chunk, ...rest) {
  // The statement is the request body, which is either a separate write or the end of the write of the headers.
  if (!String(chunk).includes(text) || ++seen !== nth) return write.call(this, chunk, ...rest)
  if (when === 'answered') this.prependOnceListener('data', soon)
  const written = write.call(this, chunk, ...rest)
  if (when === 'sent') soon()
  return written
}
