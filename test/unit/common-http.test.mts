/** HTTP answers that break off, end late or are not HTTP, from a server on a real socket. */
import type { Socket } from 'node:net'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { HttpFailure, httpText, sendHttp } from '../../scripts/lib/common/http.mts'
import { networkCause } from '../../scripts/lib/common/tcp.mts'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { runScript } from '../support/command.mts'
import { serve } from '../support/faults.mts'
import { cleanEnv, projectFolder } from '../support/project.mts'

/** Calls `use` with the port of a server that treats each connection with `accept`. */
async function withServer<T>(accept: (socket: Socket) => void, use: (port: number) => Promise<T>): Promise<T> {
  const { port, close } = await serve(accept)
  return use(port).finally(close)
}

/** Answers the first request with `text`, then calls `next`. */
const answer =
  (text: string, next: (socket: Socket) => void = () => {}) =>
  (socket: Socket) =>
    socket.once('data', () => socket.write(text, () => next(socket)))

const CUT = 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nab'
const CLOSED: Record<string, (socket: Socket) => void> = {
  'resets the connection': (socket) => socket.resetAndDestroy(),
  'closes the connection': (socket) => socket.end(),
  'closes it after the request': (socket) => socket.once('data', () => socket.destroy()),
  'closes it within the body': answer(CUT, (socket) => socket.end()),
  'closes it within a chunked body': answer(
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n',
    (socket) => socket.destroy(),
  ),
}

const http = suite('httpText')

for (const [what, accept] of Object.entries(CLOSED)) {
  http(`fails at once when the server ${what}`, async () => {
    const failure = await withServer(accept, (port) =>
      httpText(`http://127.0.0.1:${port}`, { timeoutMs: 60_000 }).catch((error: unknown) => error),
    )
    assert.instance(failure, HttpFailure)
    assert.equal([(failure as HttpFailure).timedOut, networkCause(failure)], [false, 'the connection was closed'])
  })
}

for (const [what, accept] of Object.entries({ 'an answer': () => {}, 'the rest of a body': answer(CUT) })) {
  http(`fails at its deadline without ${what}`, async () => {
    const failure = await withServer(accept, (port) =>
      httpText(`http://127.0.0.1:${port}`, { timeoutMs: 100 }).catch((error: unknown) => error),
    )
    assert.instance(failure, HttpFailure)
    assert.equal([(failure as HttpFailure).timedOut, networkCause(failure)], [true, 'timed out'])
  })
}

http('fails on an answer that is not HTTP', async () => {
  const failure = await withServer(answer('SSH-2.0-OpenSSH\r\n'), (port) =>
    httpText(`http://127.0.0.1:${port}`, { timeoutMs: 60_000 }).catch((error: unknown) => error),
  )
  assert.instance(failure, HttpFailure)
})

http('returns the status and the first 64 KiB of an endless body', async () => {
  const endless = answer('HTTP/1.1 503 Busy\r\n\r\n', (socket) => {
    const more = () => socket.writable && socket.write('é'.repeat(4_096), more)
    more()
  })
  const { status, text } = await withServer(endless, (port) =>
    httpText(`http://127.0.0.1:${port}`, { timeoutMs: 60_000 }),
  )
  assert.equal([status, text], [503, 'é'.repeat(32_768)])
})

http('sends method, headers and body, and follows no redirect', async () => {
  let request = ''
  const redirect = (socket: Socket) =>
    socket.on('data', (chunk) => {
      request += chunk
      if (request.endsWith('a=1')) socket.end('HTTP/1.1 302 Found\r\nLocation: /\r\nETag: "x"\r\n\r\n')
    })
  const { status, header } = await withServer(redirect, (port) =>
    sendHttp(`http://127.0.0.1:${port}/b?c=%20`, {
      ...{ method: 'POST', headers: { 'X-Name': 'v' }, body: 'a=1', timeoutMs: 60_000 },
    }),
  )
  assert.equal([status, header('etag'), header('x-none')], [302, '"x"', undefined])
  assert.match(request, /^POST \/b\?c=%20 HTTP\/1\.1\r\n.*X-Name: v\r\n.*Content-Length: 3\r\n/s)
})

http.run()

const command = suite('a command whose first connection is closed')
for (const [what, accept] of Object.entries(CLOSED).slice(0, 2)) {
  command(`reports a server that ${what}`, async () => {
    const { exitCode, stdout } = await withServer(accept, (port) =>
      runScript('health-check.mts', ['--only', 'kafka-ui', '--json'], {
        env: cleanEnv({
          KAFKA_UI_PORT: String(port),
          // Where an embedded stack has data, Kafka UI is not checked.
          EMBEDDED_DATA_DIR: projectFolder(),
          L2_ENV_FILE: path.join(ROOT, '.env.template'),
        }),
      }),
    )
    const { findings } = JSON.parse(stdout)
    assert.equal([exitCode, findings.length], [1, 1])
    assert.match(findings[0].found, 'the connection was closed')
  })
}
command.run()
