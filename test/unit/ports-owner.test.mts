import { execFileSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { type AddressInfo, createServer } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { findHolder, type Holder, overlaps, ownerText, parseContainerPorts } from '../../scripts/lib/ports/owner.mts'
import { probe } from '../../scripts/lib/ports/probe.mts'
import { parseLsof, parseProcSocket, presentable, readSockets } from '../../scripts/lib/ports/sockets.mts'
import { HAS_IPV6 } from '../support/stack.mts'

const locations = (holders: readonly Holder[]) =>
  holders.map(({ protocol, address, port }) => `${protocol} ${address} ${port}`)

const containers = suite('parseContainerPorts')

// Output of `docker ps` 26.1 and 28.2.
const LINE =
  'foreign\tl2\t[::1]:6001->6001/tcp, 0.0.0.0:7000-7002->7000-7002/tcp, [::]:7000-7002->7000-7002/tcp, 9999/tcp, 0.0.0.0:5353->53/udp, 127.0.0.1:12345->80/tcp, :::8443->443/tcp'

containers('returns every published port with its address, and nothing that is only exposed', () => {
  assert.equal(locations(parseContainerPorts(LINE)), [
    'tcp ::1 6001',
    'tcp 0.0.0.0 7000',
    'tcp 0.0.0.0 7001',
    'tcp 0.0.0.0 7002',
    'tcp :: 7000',
    'tcp :: 7001',
    'tcp :: 7002',
    'udp 0.0.0.0 5353',
    'tcp 127.0.0.1 12345',
    'tcp :: 8443',
  ])
  assert.equal(parseContainerPorts(LINE)[0]?.owner, { kind: 'container', container: 'foreign', project: 'l2' })
})

containers('returns nothing for a container without published ports, and for the empty last line', () => {
  assert.equal(parseContainerPorts('quiet\t\t'), [])
  assert.equal(parseContainerPorts(''), [])
})
containers.run()

const commands = suite('command line of a port’s holder')

for (const [args, shown] of [
  [['app', 'postgres://me:top@db/x', 'http://host/a@b'], 'app postgres://***@db/x http://host/a@b'],
  [
    ['app', '--api-key=top', '--auth-token', 'top secret', '--port', '1'],
    'app --api-key=*** --auth-token *** --port 1',
  ],
  [['java', '-Djavax.net.ssl.keyStorePassword=top', 'Main'], 'java -Djavax.net.ssl.keyStorePassword=*** Main'],
  [['curl', '-H', 'Authorization: Bearer top'], 'curl -H Authorization: ***'],
  [['redis-server', '--requirepass', 'top'], 'redis-server --requirepass ***'],
  [['sh', '-c', 'serve --token top --port 1'], 'sh -c serve --token *** --port 1'],
  [['app', '--no-auth', '--port', '1'], 'app --no-auth --port 1'],
] as const) {
  commands(`shows ${shown}`, () => {
    assert.is(presentable(args), shown)
  })
}
commands.run()

const proc = suite('parseProcSocket')
const line = (local: string, state: string, inode = '55') =>
  `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000  1000        0 ${inode} 1 0000000000000000 100 0 0 10 0`

proc('reads addresses, ports, user and whether it listens', () => {
  const socket = { protocol: 'tcp', uid: '1000', inode: '55' }
  assert.equal(parseProcSocket('tcp', line('0100007F:1FBB', '0A')), {
    ...socket,
    address: '127.0.0.1',
    port: 8123,
    listens: true,
  })
  assert.equal(parseProcSocket('tcp', line('00000000:18EC', '01')), {
    ...socket,
    address: '0.0.0.0',
    port: 6380,
    listens: false,
  })
  assert.is(parseProcSocket('udp', line('0200007F:0035', '07')).listens, true)
})

proc('reads IPv6, and IPv4-mapped addresses', () => {
  const address = (hex: string) => parseProcSocket('tcp', line(`${hex}:1FBB`, '0A')).address
  assert.is(address('00000000000000000000000000000000'), '::')
  assert.is(address('00000000000000000000000001000000'), '::1')
  assert.is(address('0000000000000000FFFF00000100007F'), '127.0.0.1')
  assert.is(address('B80D01200000000067452301EFCDAB89'), '2001:db8::123:4567:89ab:cdef')
})
proc.run()

const lsof = suite('parseLsof')

// Output of `lsof -F pcLPtn` on macOS 14 and Debian 12.
lsof('returns each socket with its process, connections last', () => {
  const output =
    'p501\ncControlCe\nLjo\nf9\ntIPv4\nPTCP\nn*:5000\nf10\ntIPv6\nPTCP\nn*:5000\np733\ncjava\nLsvc\nf7\ntIPv6\nPTCP\nn[::1]:2181\nf8\ntIPv6\nPTCP\nn127.0.0.1:9092->127.0.0.1:50000\nf9\ntIPv6\nPTCP\nn[::ffff:127.0.0.1]:9092\nf10\ntIPv4\nPUDP\nn127.0.0.1:53\n'
  const found = parseLsof(output)
  assert.equal(locations(found), [
    'tcp 0.0.0.0 5000',
    'tcp :: 5000',
    'tcp ::1 2181',
    'tcp 127.0.0.1 9092',
    'udp 127.0.0.1 53',
    'tcp 127.0.0.1 9092',
  ])
  assert.equal(found[0]?.owner, { kind: 'process', pid: 501, name: 'ControlCe', user: 'jo' })
  assert.equal(found[2]?.owner, { kind: 'process', pid: 733, name: 'java', user: 'svc' })
})
lsof('returns nothing for nothing', () => assert.equal(parseLsof(''), []))
lsof.run()

const overlap = suite('overlaps')
overlap('is true for the same address and for a wildcard of the same family on either side', () => {
  const is: [string, string][] = [
    ['127.0.0.1', '127.0.0.1'],
    ['0.0.0.0', '127.0.0.1'],
    ['127.0.0.1', '0.0.0.0'],
    ['127.0.0.1', ''],
    ['::1', ''],
    ['::1', '::'],
    ['::', '::1'],
    // An IPv6 socket that also serves IPv4.
    ['::', '127.0.0.1'],
  ]
  for (const [held, wanted] of is) assert.ok(overlaps(held, wanted), `${held} for ${wanted}`)
  const isNot: [string, string][] = [
    ['127.0.0.1', '127.0.0.2'],
    ['127.0.0.1', '::1'],
    ['::1', '127.0.0.1'],
    ['0.0.0.0', '::1'],
    ['::1', '0.0.0.0'],
  ]
  for (const [held, wanted] of isNot) assert.not.ok(overlaps(held, wanted), `${held} for ${wanted}`)
})

overlap('findHolder prefers the requested family', () => {
  const holder = (address: string, pid: number): Holder => ({
    protocol: 'tcp',
    address,
    port: 1,
    owner: { kind: 'process', pid },
  })
  const both = [holder('::', 1), holder('127.0.0.1', 2)]
  assert.is(findHolder(both, 'tcp', '127.0.0.1', 1)?.owner.pid, 2)
  assert.is(findHolder(both, 'tcp', '::1', 1)?.owner.pid, 1)
  assert.is(findHolder(both, 'udp', '::1', 1), undefined)
  assert.is(findHolder(both, 'tcp', '::1', 2), undefined)
})
overlap.run()

/** Listens on `host`, on a port that the system chooses, while `use` runs. */
async function withServer(host: string, use: (port: number) => Promise<void>): Promise<void> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen({ host, port: 0, ipv6Only: host === '::1' }, resolve))
  try {
    await use((server.address() as AddressInfo).port)
  } finally {
    await new Promise((resolve) => server.close(resolve))
  }
}

const sockets = suite('readSockets')
const found = (command: string) => {
  try {
    execFileSync(command, ['-v'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

for (const [system, there] of [
  ['linux', process.platform === 'linux'],
  ['darwin', found('lsof')],
] as const) {
  const test = there ? sockets : sockets.skip
  const HOSTS = {
    '127.0.0.1': '127.0.0.1',
    '0.0.0.0': '0.0.0.0',
    '::1': '::1',
    '::': '::',
    '::ffff:127.0.0.1': '127.0.0.1',
  }
  for (const [host, address] of Object.entries(HOSTS)) {
    const reachable = HAS_IPV6 || !host.includes(':') ? test : sockets.skip
    reachable(`on ${system} finds this process on ${host}`, () =>
      withServer(host, async (port) => {
        const [holder, ...more] = await readSockets(new Set([port]), system)
        assert.equal([more, holder?.address, holder?.port, holder?.owner.pid], [[], address, port, process.pid])
        assert.is(holder?.owner.user, execFileSync('id', ['-un'], { encoding: 'utf8' }).trim())
        assert.match(holder?.owner.command ?? '', /ports-owner\.test\.mts$/)
      }),
    )
  }

  test(`on ${system} finds UDP, and nothing on a port that nobody holds`, async () => {
    const socket = createSocket('udp4')
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
    const { port } = socket.address()
    const [holder] = await readSockets(new Set([port]), system)
    await new Promise<void>((resolve) => socket.close(resolve))
    assert.equal([holder?.protocol, holder?.owner.pid], ['udp', process.pid])
    assert.equal(await readSockets(new Set([port]), system), [])
  })
}
sockets.run()

const text = suite('ownerText')
text('reports what is known', () => {
  assert.is(ownerText({ kind: 'container', container: 'l2_redis', project: 'l2' }), 'container l2_redis')
  const process = { kind: 'process', pid: 1, name: 'java', user: 'jo', command: 'java Main' } as const
  assert.is(ownerText(process), 'java (PID 1, user jo): java Main')
  assert.is(ownerText({ kind: 'process', user: 'jo' }), 'a process of user jo (owner not visible, run with sudo)')
  assert.is(ownerText(undefined), 'a process (owner not visible, run with sudo)')
})
text.run()

const bind = suite('probe')
bind('tells free from taken, on the given address', () =>
  withServer('127.0.0.1', async (port) => {
    assert.is(await probe('tcp', '127.0.0.1', port), 'taken')
    assert.is(await probe('tcp', '0.0.0.0', port), 'taken')
    assert.is(await probe('tcp', '', port), 'taken')
    assert.is(await probe('tcp', '::1', port, 'linux'), 'free')
    assert.is(await probe('tcp', '127.0.0.2', port, 'linux'), 'free')
    assert.is(await probe('udp', '127.0.0.1', port), 'free')
  }),
)

const bindIpv6 = HAS_IPV6 ? bind : bind.skip
bindIpv6('of all addresses fails for IPv6 too', () =>
  withServer('::1', async (port) => {
    assert.is(await probe('tcp', '127.0.0.1', port, 'linux'), 'free')
    assert.is(await probe('tcp', '', port), 'taken')
  }),
)

bind('also tries the wildcard if a bind succeeds beside one', () =>
  withServer('127.0.0.3', async (port) => {
    assert.is(await probe('tcp', '127.0.0.1', port, 'linux'), 'free')
    assert.is(await probe('tcp', '127.0.0.1', port, 'darwin'), 'taken')
  }),
)

bind('reports an address of another machine, and an address that cannot be tried', async () => {
  // Reserved for documentation (RFC 5737).
  assert.is(await probe('tcp', '192.0.2.1', 9), 'absent')
  assert.is(await probe('udp', '192.0.2.1', 9), 'absent')
  assert.is(await probe('sctp', '127.0.0.1', 9), 'denied')
})

bind('releases the port', () =>
  withServer('127.0.0.1', async (port) => {
    const next = port === 65_535 ? port - 1 : port + 1
    const first = await probe('tcp', '127.0.0.1', next)
    assert.is(await probe('tcp', '127.0.0.1', next), first)
  }),
)
bind.run()
