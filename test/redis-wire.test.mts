/** Redis's protocol. A server of our own answers here: a real one does not cut its answers to pieces on demand; health.test.mts asks real ones. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openRedis } from '../scripts/lib/redis-wire.mts'
import { readSettings } from '../scripts/lib/settings.mts'
import { networkCause } from '../scripts/lib/tcp.mts'

/** What `calls` come to with a server that answers with these bytes, one at a time, to whatever it is told first; and what it was told. */
async function talk(answer: string, calls: string[][], password = ''): Promise<{ replies: unknown[]; heard: string }> {
  const heard: Buffer[] = []
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket.setNoDelay())
    socket.on('data', (chunk) => heard.push(chunk))
    socket.once('data', async () => {
      for (const byte of Buffer.from(answer)) {
        socket.write(Buffer.of(byte))
        await new Promise(setImmediate)
      }
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const settings = readSettings({ REDIS_HOST: '127.0.0.1', REDIS_PORT: String(port), REDIS_PASSWORD: password })
  const redis = openRedis(settings, 300)
  const replies = await Promise.all(
    calls.map((words) =>
      redis.call(...words).catch((error) => `${networkCause(error)}${error.code ? ` ${error.code}` : ''}`),
    ),
  )
  redis.close()
  for (const socket of sockets) socket.destroy()
  server.close()
  return { replies, heard: Buffer.concat(heard).toString() }
}

const wire = suite('openRedis')

wire('reads every kind of answer, however it is cut', async () => {
  const answer =
    '+OK\r\n:42\r\n$5\r\nMüll\r\n$-1\r\n*3\r\n$1\r\na\r\n*1\r\n:1\r\n*0\r\n$4\r\n\r\n\r\n\r\n-NOAUTH first\r\n'
  const { replies, heard } = await talk(answer, [['GET', 'Ü'], ['B'], ['C'], ['D'], ['E'], ['F'], ['G']])
  assert.equal(replies, ['OK', 42, 'Müll', null, ['a', [1], []], '\r\n\r\n', 'NOAUTH first'])
  assert.match(heard, /^\*2\r\n\$3\r\nGET\r\n\$2\r\nÜ\r\n\*1\r\n\$1\r\nB\r\n/)
})

wire('logs in before anything else, and does without where no password is asked for', async () => {
  const { replies, heard } = await talk('+OK\r\n+PONG\r\n', [['PING']], 'secret')
  assert.equal([replies, heard.indexOf('PING') > heard.indexOf('AUTH')], [['PONG'], true])
  const open = '-ERR AUTH <password> called without any password configured for the default user.\r\n+PONG\r\n'
  assert.equal((await talk(open, [['PING']], 'secret')).replies, ['PONG'])
  const wrong = await talk('-WRONGPASS invalid\r\n', [['PING'], ['INFO']], 'secret')
  assert.equal([wrong.replies, wrong.heard.includes('PING')], [['WRONGPASS invalid', 'WRONGPASS invalid'], false])
})

wire('gives up on silence, half an answer, and a server of another kind', async () => {
  assert.equal((await talk('', [['PING'], ['INFO']])).replies, ['timed out ETIMEDOUT', 'timed out ETIMEDOUT'])
  assert.equal((await talk('$100\r\nhalf', [['PING']])).replies, ['timed out ETIMEDOUT'])
  const http = await talk('HTTP/1.1 400 Bad Request\r\n', [['PING']])
  assert.equal(http.replies, ['an answer that is not Redis’s protocol'])
})

wire.run()
