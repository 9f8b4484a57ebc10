import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import { reason } from '../common/findings.mts'
import type { Settings } from '../settings/settings.mts'
import { Findings, type Probe, type ProbeOptions } from './probe.mts'

/** A client of Redis that does not connect yet and never tries again. */
export async function redisClient(settings: Settings, timeoutMs: number): Promise<Redis> {
  const { default: ioredis } = await import('ioredis')
  return new ioredis.Redis({
    host: settings.REDIS_HOST,
    port: settings.REDIS_PORT,
    ...(settings.REDIS_PASSWORD ? { password: settings.REDIS_PASSWORD } : {}),
    lazyConnect: true,
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
    // Its own waiting for a Redis that loads has no deadline, and one that hangs does not close the connection either.
    enableReadyCheck: false,
    disconnectTimeout: 1,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
  })
}

/** Whether Redis serves as configured: login, memory and policy, append-only file. @throws when it gives no answer */
export async function probeRedis(settings: Settings, options: ProbeOptions): Promise<Probe> {
  const redis = await redisClient(settings, options.timeoutMs)
  let failure: unknown
  redis.on('error', (error) => {
    failure = error
  })
  try {
    await redis.connect()
    return await ask(redis, settings, options)
  } catch (error) {
    const refused = /NOAUTH|WRONGPASS|ERR AUTH/.exec(`${error} ${failure}`)
    if (!refused) throw failure ?? error
    const findings = new Findings('redis')
    const hint =
      'make REDIS_PASSWORD in .env the one that Redis was started with, or restart it: docker-compose up -d redis, or npm stop and npm start'
    findings.add('error', 'REDIS_AUTH', { found: `${refused[0]}: the login is refused`, expected: 'PONG', hint })
    return { summary: 'login refused', details: {}, findings: findings.list }
  } finally {
    redis.disconnect()
  }
}

async function ask(redis: Redis, settings: Settings, { deep, timeoutMs }: ProbeOptions): Promise<Probe> {
  const findings = new Findings('redis')
  // A Redis that is loading refuses PING, and INFO says so.
  const [pong, info] = await Promise.all([redis.ping().catch(reason), redis.info()])
  const values = new Map(info.split('\r\n').map((line) => line.split(':') as [string, string]))
  const number = (name: string) => Number(values.get(name) ?? Number.NaN)
  const text = (name: string) => values.get(name) ?? 'unknown'
  const details = {
    version: text('redis_version'),
    usedMemoryBytes: number('used_memory'),
    maxMemoryBytes: number('maxmemory'),
    maxMemoryPolicy: text('maxmemory_policy'),
    appendOnly: text('aof_enabled') === '1',
    lastWrite: text('aof_last_write_status'),
    lastRewrite: text('aof_last_bgrewrite_status'),
    evictedKeys: number('evicted_keys'),
  }
  const restart = 'docker-compose up -d --force-recreate redis, or npm stop and npm start'
  const expect = (code: string, about: string, found: string, expected: string, hint: string) => {
    if (found !== expected) findings.add('error', code, { found, expected, hint }, about)
  }
  if (text('loading') !== '0') {
    const found = 'it is reading its append-only file'
    const hint = './scripts/health-check.mts --only redis --wait 60'
    findings.add('error', 'REDIS_LOADING', { found, expected: 'PONG', hint })
    return { summary: 'loading', details, findings: findings.list }
  }
  expect('REDIS_NO_PONG', '', pong, 'PONG', 'docker logs l2_redis')
  if (settings.REDIS_PASSWORD) {
    // A server without a password takes a login with one, too.
    const flags = String(await redis.call('ACL', 'GETUSER', 'default')).split(',')
    const open = flags.includes('nopass') ? 'none' : 'a password'
    expect('REDIS_NO_PASSWORD', 'password', open, 'a password', 'docker-compose up -d redis, or npm stop and npm start')
  }
  expect('REDIS_MAXMEMORY', 'maxmemory', `${details.maxMemoryBytes} B`, `${settings.REDIS_MAX_MEMORY} B`, restart)
  expect('REDIS_POLICY', 'maxmemory-policy', details.maxMemoryPolicy, settings.REDIS_MAX_MEMORY_POLICY, restart)
  expect('REDIS_AOF_OFF', 'appendonly', details.appendOnly ? 'yes' : 'no', 'yes', restart)
  const disk = 'free space on the disk: df -h'
  expect('REDIS_AOF_WRITE', 'append-only file, last write', details.lastWrite, 'ok', disk)
  expect('REDIS_AOF_REWRITE', 'append-only file, last rewrite', details.lastRewrite, 'ok', disk)
  if (details.evictedKeys > 0) {
    const hint = 'raise REDIS_MAX_MEMORY in .env, and REDIS_MEMORY_LIMIT with it, if these keys were still needed'
    findings.add('warning', 'REDIS_EVICTED', { found: `${details.evictedKeys}`, expected: '0', hint }, 'evicted keys')
  }
  if (deep) {
    const hint = 'docker logs l2_redis, or .embedded/data/logs/redis.log'
    const expected = 'a key set and read'
    await findings.attempt('REDIS_WRITE', 'scratch key', { expected, hint, timeoutMs }, () => setAndRead(redis))
  }
  const megabytes = (bytes: number) => `${Math.round(bytes / 1024 ** 2)} MB`
  const summary = `${details.version}, ${megabytes(details.usedMemoryBytes)} of ${megabytes(details.maxMemoryBytes)}`
  return { summary, details, findings: findings.list }
}

/** @throws {Error} when the key is not what it was set to */
async function setAndRead(redis: Redis): Promise<void> {
  // Gone after 10 s even if this process is killed before it deletes it.
  const key = `l2:health-check:${randomUUID()}`
  await redis.set(key, 'canary', 'EX', 10)
  const read = await redis.get(key)
  await redis.del(key)
  if (read !== 'canary') throw new Error(`${read ?? 'nothing'} read where "canary" was set`)
}
