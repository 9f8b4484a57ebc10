/**
 * Preloaded into a command under test (`NODE_OPTIONS=--import`), kills a process at an exact moment of its talk with ClickHouse. L2_KILL_AT is
 * a moment as JSON: the `nth` statement that holds `text`; `when` it is `sent`, or its answer has come (`answered`) and was not read yet;
 * `afterMs` milliseconds later; and which process: `pid`, 0 for the command itself. What is about to happen is told on stderr.
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
  // The statement is the body of a request, which is a write of its own or ends the one of the headers.
  if (!String(chunk).includes(text) || ++seen !== nth) return write.call(this, chunk, ...rest)
  if (when === 'answered') this.prependOnceListener('data', soon)
  const written = write.call(this, chunk, ...rest)
  if (when === 'sent') soon()
  return written
}
