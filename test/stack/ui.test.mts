/** `npm run ui` over HTTP, with real services. */
import { request } from 'node:http'
import { createServer } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { openKafkajs } from '../../scripts/lib/kafka/clients.mts'
import { runScript } from '../support/command.mts'
import { KafkaHelper } from '../support/kafka.mts'
import { freePorts, sharedStack } from '../support/stack.mts'
import { startUi } from '../support/ui.mts'

const stack = await sharedStack()
const kafka = new KafkaHelper(stack.settings)
const [port = 0, other = 0] = await freePorts(2)
const ui = await startUi(stack.env, ['--port', String(port)])
const made: string[] = []

async function topicOf(name: string): Promise<string> {
  const topic = `ui-${process.pid}-${name}`
  made.push(topic)
  const topics = [{ topic, numPartitions: 2, replicationFactor: 1 }]
  await kafka.admin((admin) => admin.createTopics({ topics, waitForLeaders: true }))
  return topic
}

interface Answer {
  status: number
  headers: NodeJS.Dict<string | string[]>
  body: string
}

/** Sends a request with any Host and Origin, which fetch does not allow. */
function ask(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asking = request({ host: '127.0.0.1', port, path, method, headers }, (response) => {
      let body = ''
      response.on('data', (chunk) => {
        body += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }))
    })
    asking.on('error', reject)
    asking.end()
  })
}

const statusOf = async (...args: Parameters<typeof ask>) => (await ask(...args)).status

const page = suite('npm run ui')

page('prints its address, and serves the page with its files and nothing else', async () => {
  assert.is(ui.output(), `http://127.0.0.1:${port}\n`)
  const { status, body, headers } = await ask('/')
  assert.equal([status, headers['content-type']], [200, 'text/html; charset=utf-8'])
  const files = [...body.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, file = '']) => file)
  assert.ok(files.length >= 7, files.join(' '))
  const scripts = ['/main.mjs', '/charts.mjs', '/tables.mjs', '/services.mjs', '/lookup.mjs', '/dom.mjs', '/uplot.js']
  for (const file of [...files, ...scripts]) assert.is(await statusOf(file), 200, file)
  for (const file of ['/ui.mts', '/../ui.mts', '/%2e%2e/ui.mts', '/page', '/.env', '/api', '/favicon.ico', '//'])
    assert.is(await statusOf(file), 404, file)
  for (const file of ['/api/messages', '/api/messages?topic=', `/api/book?symbol=${'x'.repeat(250)}`])
    assert.is(await statusOf(file), 400, file)
})

page('is read-only: refuses other methods', async () => {
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
    const { status, headers } = await ask('/api/snapshot', {}, method)
    assert.equal([status, headers.allow], [405, 'GET, HEAD'], method)
  }
  const { status, body } = await ask('/', {}, 'HEAD')
  assert.equal([status, body], [200, ''])
})

page('refuses foreign names and pages of other sites', async () => {
  for (const host of [`localhost:${port}`, `LOCALHOST:${port}`, `[::1]:${port}`])
    assert.is(await statusOf('/metrics', { Host: host }), 200, host)
  for (const host of ['evil.example', `evil.example:${port}`, `127.0.0.1.evil.example:${port}`, `127.0.0.1:${other}`])
    assert.is(await statusOf('/', { Host: host }), 403, host)
  for (const origin of ['http://evil.example', 'null', `http://127.0.0.1:${other}`, `https://127.0.0.1:${port}`])
    for (const path of ['/events', '/metrics', '/api/snapshot'])
      assert.is(await statusOf(path, { Origin: origin }), 403, origin)
  assert.is(await statusOf('/api/health', { Origin: `http://127.0.0.1:${port}` }), 200)
  const cross = { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'no-cors' }
  assert.is(await statusOf('/main.mjs', cross), 403)
  assert.is(await statusOf('/', { ...cross, 'Sec-Fetch-Mode': 'navigate' }), 200)
  const { headers } = await ask('/')
  const policy = String(headers['content-security-policy'])
  for (const part of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"])
    assert.ok(policy.includes(part), policy)
  assert.not.match(policy, /unsafe|\*|data:/)
  assert.equal(
    ['x-content-type-options', 'x-frame-options', 'cross-origin-resource-policy', 'cache-control'].map(
      (name) => headers[name],
    ),
    ['nosniff', 'DENY', 'same-origin', 'no-store'],
  )
})

interface Snapshot {
  parts: { name: string; problem: unknown; data: Record<string, unknown> }[]
}

page('reports health, topics, groups and tables', async () => {
  const topic = await topicOf('snapshot')
  await kafka.produce(topic, 10)
  const group = `ui-${process.pid}-group`
  await kafka.commit(group, topic, 4)
  const { parts }: Snapshot = JSON.parse((await ask('/api/snapshot')).body)
  assert.equal(
    parts.map(({ name, problem }) => [name, problem]),
    [
      ...['zookeeper', 'kafka', 'clickhouse', 'redis', 'kafka-ui'].map((name) => `health ${name}`),
      'kafka',
      'tables',
      'ingest',
    ].map((name) => [name, null]),
  )
  const data = (name: string) => parts.find((part) => part.name === name)?.data ?? {}
  assert.equal([data('health redis').state, data('health redis').findings], ['healthy', []])
  const { topics, groups } = data('kafka') as {
    topics: { topic: string; bytes: number }[]
    groups: { group: string }[]
  }
  const entry = topics.find((each) => each.topic === topic)
  assert.ok((entry?.bytes ?? 0) > 0)
  assert.equal(entry, {
    topic,
    ...{
      partitions: 2,
      replication: 1,
      messages: 20,
      written: 20,
      writtenPerSecond: null,
      bytes: entry?.bytes,
      config: [],
    },
  })
  assert.equal(
    groups.find((each) => each.group === group),
    {
      ...{ group, state: 'Empty', protocol: '', members: 0 },
      topics: [{ topic, lag: 12, committed: 8, readPerSecond: null, catchUpSeconds: null }],
    },
  )
  const { tables } = data('tables') as { tables: { table: string }[] }
  assert.ok(
    tables.some(({ table }) => table === 'market_l2'),
    JSON.stringify(tables),
  )
  await kafka.admin((admin) => admin.deleteGroups([group]))
})

page('shows the last messages as text, whatever they contain, and no password', async () => {
  const topic = await topicOf('messages')
  const password = stack.settings.CLICKHOUSE_PASSWORD
  const values = [
    '<img src=x onerror=alert(1)>',
    '\u001b[2J\u202eend',
    Buffer.from([0xff, 0xfe]),
    `a ${password} b`,
    null,
  ]
  const clients = await openKafkajs(stack.settings, { timeoutMs: 20_000 })
  const producer = await clients.producer()
  await producer.send({ topic, messages: values.map((value) => ({ partition: 1, key: 'K', value })), acks: -1 })
  await clients.close()
  const { status, body } = await ask(`/api/messages?topic=${topic}`)
  assert.is(status, 200)
  assert.equal(
    JSON.parse(body).messages.map(({ value }: { value: string }) => value),
    ['null', 'a [secret] b', '0xfffe (2 bytes)', '\\u001b[2J\\u202eend', '<img src=x onerror=alert(1)>'],
  )
  assert.not.ok(body.includes(password))
  const unknown = await ask(`/api/messages?topic=${topic}x`)
  const { problem } = JSON.parse(unknown.body)
  assert.is(unknown.status, 404)
  assert.match(problem.text, `${topic}x: found no such topic`)
})

page('reports a symbol without a book, whatever its name', async () => {
  for (const symbol of [`none-${process.pid}`, "x' OR 1=1 --", '{symbol:String}', '%']) {
    const { status, body } = await ask(`/api/book?symbol=${encodeURIComponent(symbol)}`)
    assert.equal([status, JSON.parse(body)], [200, { symbol, time: null, bids: [], asks: [] }])
  }
})

/** Parses names, types and samples of metrics according to the format. @throws {Error} for an invalid line */
function parseMetrics(text: string): { types: Map<string, string>; samples: Map<string, number> } {
  const [types, samples] = [new Map<string, string>(), new Map<string, number>()]
  const helped = new Set<string>()
  for (const line of text.trimEnd().split('\n')) {
    const [, help] = /^# HELP ([a-z0-9_]+) \S.*\.$/.exec(line) ?? []
    const [, typed, type] = /^# TYPE ([a-z0-9_]+) (gauge|counter)$/.exec(line) ?? []
    const [, name, labels = '', value] =
      /^([a-z0-9_]+)(\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+\})? (\S+)$/.exec(line) ?? []
    if (help) helped.add(help)
    else if (typed && type && helped.has(typed) && !types.has(typed)) types.set(typed, type)
    else if (name && types.has(name) && !samples.has(name + labels) && Number.isFinite(Number(value)))
      samples.set(name + labels, Number(value))
    else throw new Error(`found "${line}", expected a line of Prometheus's text format`)
  }
  return { types, samples }
}

page('serves the same as metrics, with Prometheus names', async () => {
  const topic = await topicOf('metrics')
  await kafka.produce(topic, 5)
  const { status, headers, body } = await ask('/metrics')
  assert.equal([status, headers['content-type']], [200, 'text/plain; version=0.0.4; charset=utf-8'])
  const { types, samples } = parseMetrics(body)
  for (const [name, type] of types) {
    assert.match(name, /^l2_[a-z_]+$/)
    assert.is(name.endsWith('_total'), type === 'counter', name)
  }
  const expected = {
    [`l2_topic_messages_written_total{topic="${topic}"}`]: 10,
    [`l2_topic_messages{topic="${topic}"}`]: 10,
    [`l2_topic_partitions{topic="${topic}"}`]: 2,
    'l2_service_state{service="redis",state="healthy"}': 1,
    'l2_service_state{service="redis",state="unhealthy"}': 0,
    'l2_part_up{part="tables"}': 1,
  }
  for (const [name, value] of Object.entries(expected)) assert.is(samples.get(name), value, name)
  assert.ok((samples.get('l2_table_rows{table="market_l2"}') ?? -1) >= 0)
})

page('sends changes as they happen, to every viewer, and reads nothing without one', async () => {
  const topic = await topicOf('events')
  const stopping = new AbortController()
  const { body } = await fetch(`${ui.url}/events`, { signal: stopping.signal })
  let heard = ''
  const rates = () =>
    [...heard.matchAll(/^data: (.*"name":"kafka".*)$/gm)].map(
      ([, json = '']) => JSON.parse(json).point?.traces.throughput?.[topic] ?? 0,
    )
  const listening = (async () => {
    const decoder = new TextDecoder()
    for await (const chunk of body ?? []) heard += decoder.decode(chunk, { stream: true })
  })().catch(() => {
    // The connection is aborted below.
  })
  // A rate needs two polls, and the first must happen before the messages are sent.
  assert.ok(await waitUntil(async () => rates().length > 0, { timeoutMs: 30_000, pollMs: 50 }), heard)
  const moving = async () => {
    await kafka.produce(topic, 10)
    return rates().some((rate) => rate > 0)
  }
  assert.ok(await waitUntil(moving, { timeoutMs: 30_000, pollMs: 100 }), heard)
  assert.match(heard, /^retry: 1000\nevent: begin\n/)
  stopping.abort()
  await listening
})

page('names the owner of its port, and reuses a page of the same stack', async () => {
  const again = await runScript('ui.mts', ['--port', String(port)], { env: stack.env })
  assert.equal([again.exitCode, again.stdout, again.stderr], [0, `http://127.0.0.1:${port}\n`, ''])
  const elsewhere = await runScript('ui.mts', ['--port', String(port)], {
    env: { ...stack.env, CLICKHOUSE_DATABASE: 'another' },
  })
  assert.is(elsewhere.exitCode, 1)
  assert.match(elsewhere.stderr, `✗ port ${port}: in use by the page of another stack [UI_PORT]`)
  const server = createServer((socket) => socket.end('SSH-2.0-x\r\n'))
  await new Promise<void>((resolve) => server.listen(other, '127.0.0.1', resolve))
  const taken = await runScript('ui.mts', ['--port', String(other), '--json'], { env: stack.env })
  server.close()
  const { findings } = JSON.parse(taken.stdout)
  assert.equal(
    [taken.exitCode, findings[0].found, findings[0].hint],
    [1, 'in use by another program', `npm run ui -- --port ${other + 1}`],
  )
})

page('ends at Ctrl-C', async () => {
  assert.is(await ui.end(), 0)
  const { exitCode, stdout } = await runScript('ui.mts', ['--port', '0'], { env: stack.env })
  assert.equal([exitCode, stdout], [2, ''])
})

page.after(async () => {
  await ui.end()
  await kafka.admin((admin) => admin.deleteTopics({ topics: made }))
  await stack.stop()
})
page.run()
