import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Redis } from 'ioredis'
import { error, type Finding, reason, warning } from '../common/findings.mts'
import { exchange } from '../common/tcp.mts'
import { tlsMistake, withoutTls } from '../common/tls.mts'
import { logHint } from '../engines/logs.mts'
import type { Settings } from '../settings/settings.mts'
import { attempt, type Probe, type ProbeOptions } from './probe.mts'

/** Creates a Redis client that connects on demand and does not retry. */
export async function redisClient(settings: Settings, timeoutMs: number): Promise<Redis> {
  const { default: ioredis } = await import('ioredis')
  const { REDIS_CA_CERT: ca } = settings
  return new ioredis.Redis({
    host: settings.REDIS_HOST,
    port: settings.REDIS_PORT,
    ...(settings.REDIS_USERNAME ? { username: settings.REDIS_USERNAME } : {}),
    ...(settings.REDIS_PASSWORD ? { password: settings.REDIS_PASSWORD } : {}),
    ...(settings.REDIS_TLS === 'true' ? { tls: ca ? { ca: readFileSync(ca) } : {} } : {}),
    lazyConnect: true,
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
    // The ready check has no deadline: it waits for a server that is loading or hangs.
    enableReadyCheck: false,
    // A server that hangs does not close the connection.
    disconnectTimeout: 1,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
  })
}

const RESTART = 'docker-compose up -d --force-recreate redis, or npm stop and npm start'

/**
 * Checks Redis: credentials, memory limit and eviction policy, persistence and role; with `deep`, also sets and reads a
 * key.
 * @throws if it does not answer
 */
export async function probeRedis(settings: Settings, options: ProbeOptions): Promise<Probe> {
  const redis = await redisClient(settings, options.timeoutMs)
  let failure: unknown
  redis.on('error', (event) => {
    failure = event
  })
  try {
    await redis.connect()
    return await check(redis, settings, options)
  } catch (thrown) {
    const refused = /NOAUTH|WRONGPASS|ERR AUTH|NOPERM[^\n]*/.exec(`${thrown} ${failure}`)?.[0]
    const cause = failure ?? thrown
    const finding = refused ? refusal(settings, refused) : await tlsMismatch(settings, cause, options.timeoutMs)
    if (!finding) throw cause
    return { summary: 'refused', details: {}, findings: [finding] }
  } finally {
    redis.disconnect()
  }
}

/**
 * Returns a finding if one side uses TLS and the other does not. A Redis without TLS takes a TLS handshake for the
 * start of a command and waits for the rest, so it also gets a plain PING.
 */
async function tlsMismatch(settings: Settings, failure: unknown, timeoutMs: number) {
  const address = {
    ...{ service: 'redis' as const, host: settings.REDIS_HOST, port: settings.REDIS_PORT },
    ...{ secure: settings.REDIS_TLS === 'true', on: 'REDIS_TLS=true', off: 'REDIS_TLS=false' },
    ...{ hostVariable: 'REDIS_HOST', caVariable: 'REDIS_CA_CERT' },
  }
  const mistake = await tlsMistake(address, failure, timeoutMs)
  if (mistake || !address.secure) return mistake
  const answer = await exchange(address, 'PING\r\n', (received) => received.includes('\n'), timeoutMs / 4).catch(reason)
  return /^[+-][A-Z]+/.test(String(answer)) ? withoutTls(address) : undefined
}

/** Returns the finding for refused credentials or a refused command. */
function refusal({ REDIS_USERNAME: user }: Settings, said: string): Finding {
  if (said.startsWith('NOPERM')) {
    const command = /'([^']+)'/.exec(said)?.[1] ?? 'COMMAND'
    const found = `user ${user || 'default'} lacks a permission: ${said}`
    return error('REDIS_RIGHTS', 'redis', { found, hint: `ACL SETUSER ${user || 'default'} +${command}` })
  }
  const found = `login${user && ` as ${user}`} refused (${said})`
  const hint = user
    ? 'check REDIS_USERNAME and REDIS_PASSWORD in .env'
    : `set REDIS_PASSWORD in .env to the password that Redis was started with, or restart it: ${RESTART}`
  return error('REDIS_AUTH', 'redis', { found, hint })
}

async function check(redis: Redis, settings: Settings, { deep, timeoutMs }: ProbeOptions): Promise<Probe> {
  const findings: Finding[] = []
  // While Redis loads, it refuses PING but answers INFO.
  const [pong, info] = await Promise.all([redis.ping().catch(reason), redis.info()])
  const values = new Map(info.split('\r\n').map((line) => line.split(':') as [string, string]))
  const number = (name: string) => Number(values.get(name) ?? Number.NaN)
  const text = (name: string) => values.get(name) ?? 'unknown'
  const details = {
    version: text('redis_version'),
    usedMemoryBytes: number('used_memory'),
    maxMemoryBytes: number('maxmemory'),
    maxMemoryPolicy: text('maxmemory_policy'),
    role: text('role'),
    appendOnly: text('aof_enabled') === '1',
    lastWrite: text('aof_last_write_status'),
    lastRewrite: text('aof_last_bgrewrite_status'),
    evictedKeys: number('evicted_keys'),
  }
  const expect = (code: string, subject: string, found: string, expected: string, hint: string) => {
    if (found !== expected) findings.push(error(code, subject, { found, expected, hint }))
  }
  if (text('loading') !== '0') {
    const found = 'loading its append-only file'
    const hint = './scripts/health-check.mts --only redis --wait 60'
    return { summary: 'loading', details, findings: [error('REDIS_LOADING', 'redis', { found, hint })] }
  }
  // A Redis that cannot save also refuses PING, with MISCONF. The checks below report which file it cannot write.
  if (!pong.startsWith('MISCONF')) expect('REDIS_NO_PONG', 'redis', pong, 'PONG', logHint('redis', settings))
  // On an external Redis, the user usually may not read the ACL list.
  if (settings.REDIS_PASSWORD && !settings.REDIS_USERNAME) {
    // A server without a password accepts any password.
    const flags = String(await redis.call('ACL', 'GETUSER', 'default')).split(',')
    expect(
      'REDIS_NO_PASSWORD',
      'redis password',
      flags.includes('nopass') ? 'none' : 'a password',
      'a password',
      RESTART,
    )
  }
  const { maxMemoryBytes, maxMemoryPolicy, appendOnly, lastWrite, lastRewrite } = details
  expect('REDIS_MAXMEMORY', 'redis maxmemory', `${maxMemoryBytes} B`, `${settings.REDIS_MAX_MEMORY} B`, RESTART)
  expect('REDIS_POLICY', 'redis maxmemory-policy', maxMemoryPolicy, settings.REDIS_MAX_MEMORY_POLICY, RESTART)
  expect('REDIS_AOF_OFF', 'redis appendonly', appendOnly ? 'yes' : 'no', 'yes', RESTART)
  expect('REDIS_REPLICA', 'redis role', roleText(details.role, values), 'master', `${cli(settings)} REPLICAOF NO ONE`)
  const isFull = maxMemoryPolicy === 'noeviction' && maxMemoryBytes > 0 && details.usedMemoryBytes >= maxMemoryBytes
  if (isFull) {
    const hint = 'raise REDIS_MAX_MEMORY and REDIS_MEMORY_LIMIT in .env, or delete keys'
    findings.push(
      error('REDIS_FULL', 'redis memory', { found: 'full, and noeviction is set: writes are refused', hint }),
    )
  }
  const disk = 'free up disk space: df -h'
  // After a failed snapshot Redis refuses all writes (MISCONF).
  const snapshot = text('rdb_last_bgsave_status')
  expect('REDIS_SNAPSHOT', 'redis last snapshot', snapshot, 'ok', `${disk}; then: ${cli(settings)} BGSAVE`)
  expect('REDIS_AOF_WRITE', 'redis last append-only file write', lastWrite, 'ok', disk)
  expect('REDIS_AOF_REWRITE', 'redis last append-only file rewrite', lastRewrite, 'ok', disk)
  if (details.evictedKeys > 0) {
    const hint = 'if these keys are still needed, raise REDIS_MAX_MEMORY and REDIS_MEMORY_LIMIT in .env'
    findings.push(
      warning('REDIS_EVICTED', 'redis evicted keys', { found: `${details.evictedKeys}`, expected: '0', hint }),
    )
  }
  if (deep) {
    const hint = logHint('redis', settings)
    findings.push(...(await attempt('REDIS_WRITE', 'redis scratch key', { hint, timeoutMs }, () => setAndRead(redis))))
  }
  const megabytes = (bytes: number) => `${Math.round(bytes / 1024 ** 2)} MB`
  const summary = `${details.version}, ${megabytes(details.usedMemoryBytes)} of ${megabytes(details.maxMemoryBytes)}`
  return { summary, details, findings }
}

const cli = ({ REDIS_HOST: host, REDIS_PORT: port }: Settings): string => `redis-cli -h ${host} -p ${port}`

/** Returns the role; for a replica, which refuses writes, with its master. */
const roleText = (role: string, values: ReadonlyMap<string, string>): string =>
  role === 'slave' ? `replica of ${values.get('master_host')}:${values.get('master_port')}` : role

/** Sets, reads and deletes a scratch key. @throws {Error} if the value read differs */
async function setAndRead(redis: Redis): Promise<void> {
  // Expires after 10 s in case this process is killed before it deletes the key.
  const key = `l2:health-check:${randomUUID()}`
  await redis.set(key, 'canary', 'EX', 10)
  const read = await redis.get(key)
  await redis.del(key)
  if (read !== 'canary') throw new Error(`read ${read ?? 'nothing'}, set "canary"`)
}
