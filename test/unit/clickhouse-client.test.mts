/** Servers other than ClickHouse, and aborted answers. They are fakes, because the real server does none of this on request. */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { withClickHouse } from '../../scripts/lib/clickhouse/client.mts'
import { OpsError } from '../../scripts/lib/common/findings.mts'
import { readSettings } from '../../scripts/lib/settings/settings.mts'

const OURS = { 'X-ClickHouse-Query-Id': 'x' }

/** Returns the exit code and finding of a query to a server that answers like this. */
async function ask(answer: (response: ServerResponse, url: string) => void): Promise<[number, string, string]> {
  const server = createServer(({ url = '' }, response) => answer(response, url))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  try {
    const settings = readSettings({ CLICKHOUSE_HOST: '127.0.0.1', CLICKHOUSE_PORT: String(port) })
    await withClickHouse(settings, 1_000, async (client) =>
      (await client.query({ query: 'SELECT 1', format: 'JSONEachRow' })).json(),
    )
  } catch (failure) {
    assert.instance(failure, OpsError)
    const { exitCode, findings } = failure as OpsError
    return [exitCode, findings[0]?.code ?? '', findings[0]?.found ?? '']
  } finally {
    server.closeAllConnections()
    server.close()
  }
  return [0, '', '']
}

const UNREACHABLE = 'CLICKHOUSE_UNREACHABLE'
const NOT_OURS = 'a server that is not ClickHouse: HTTP'
const ANSWERS: [string, (response: ServerResponse, url: string) => void, string][] = [
  ['500 with text', (response) => response.writeHead(500).end('no'), `${NOT_OURS} 500 from an unnamed server`],
  ['404', (response) => response.writeHead(404, { Server: 'nginx' }).end(), `${NOT_OURS} 404 from nginx`],
  [
    '302',
    (response) => response.writeHead(302, { Server: 'nginx', Location: '/' }).end(),
    `${NOT_OURS} 302 from nginx`,
  ],
  ['an empty 200', (response) => response.end(), `${NOT_OURS} 200 from an unnamed server`],
  ['200 with HTML', (response) => response.end('<html>'), `${NOT_OURS} 200 from an unnamed server`],
  ['nothing', () => {}, 'timed out after 1 s'],
  [
    'nothing but a ping',
    (response, url) => url === '/ping' && response.writeHead(200, OURS).end('Ok.\n'),
    'timed out after 1 s; the server is up and answers a ping',
  ],
  ['a head without an end', (response) => response.writeHead(200, OURS).flushHeaders(), 'timed out after 1 s'],
  ['a connection that closes', (response) => response.destroy(), 'the connection was closed'],
  [
    'a body cut short',
    (response) => response.writeHead(200, { ...OURS, 'Content-Length': 100 }).write('{"a":', () => response.destroy()),
    'the connection was closed',
  ],
  [
    'a body that drips',
    (response) => {
      response.writeHead(200, OURS)
      const timer = setInterval(() => response.write(' '), 50)
      response.on('close', () => clearInterval(timer))
    },
    'timed out after 1 s',
  ],
  [
    'a body that never ends',
    (response) => {
      response.writeHead(200, OURS)
      const chunk = Buffer.alloc(4 * 1024 ** 2, 'x')
      const more = () => {
        while (!response.destroyed && response.write(chunk)) {
          // As fast as the other side reads.
        }
      }
      response.on('drain', more)
      more()
    },
    '',
  ],
]

const asking = suite('withClickHouse')

for (const [what, answer, expected] of ANSWERS) {
  asking(`reports ${what} as unreachable`, async () => {
    const [exitCode, code, found] = await ask(answer)
    assert.equal([exitCode, code], [3, UNREACHABLE], found)
    // Whichever limit is reached first on this machine.
    if (expected === '') assert.match(found, /^(a response larger than 256 MiB|timed out after 1 s)$/)
    else assert.is(found, expected)
  })
}

asking.run()
