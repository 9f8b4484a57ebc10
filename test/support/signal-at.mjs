/**
 * Sends the process a signal at an exact moment of its communication with Kafka, when preloaded into a command (`NODE_OPTIONS=--import`).
 * L2_SIGNAL_AT lists moments as `KEY:NTH:before|after:SIGNAL`: before the nth request with that API key is sent, or after its answer has
 * arrived but before it is read. Reports each signal on stderr just before sending it.
 * @see https://kafka.apache.org/protocol#protocol_api_keys
 */
import { writeSync } from 'node:fs'
import { Socket } from 'node:net'

const moments = (process.env.L2_SIGNAL_AT ?? '').split(',').map((moment) => {
  const [key, nth, when, signal] = moment.split(':')
  return { key: Number(key), nth: Number(nth), when, signal, seen: 0, moment }
})

function strike({ moment, signal }) {
  writeSync(2, `[at ${moment}]\n`)
  process.kill(process.pid, signal)
}

const { write } = Socket.prototype
Socket.prototype.write = function writeAndWatch(chunk, ...rest) {
  // Each request is one write: four bytes of length, then the API key.
  const key = this.remotePort !== undefined && Buffer.isBuffer(chunk) && chunk.length >= 6 ? chunk.readInt16BE(4) : -1
  for (const moment of moments) {
    if (moment.key !== key || ++moment.seen !== moment.nth) continue
    if (moment.when === 'before') strike(moment)
    else this.prependOnceListener('data', () => strike(moment))
  }
  return write.call(this, chunk, ...rest)
}
