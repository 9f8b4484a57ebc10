/**
 * Random faults during a replay with ingest on: every acknowledged message must be exactly once in its table or in market_rejects. Runs
 * 30,000 messages and 6 faults, or 1,000,000 and 40 with `FAULTS=long`. FAULTS_SEED repeats them. Prints the fault table. As root, it also
 * fills a disk and cuts the network of a service.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { table } from '../../scripts/lib/common/table.mts'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { runScript } from '../support/command.mts'
import { ALL, pids } from '../support/embedded.mts'
import { isLong, randomNumbers, sampled } from '../support/faults.mts'
import { IngestStack } from '../support/ingest.mts'

const [MESSAGES, FAULTS] = isLong ? [1_000_000, 40] : [30_000, 6]
/** Seconds of the replay per fault: a halt of 10 s, a restart, and some undisturbed time. */
const FAULT_S = 18
const HALT_MS = 10_000
const POISON = 20
const random = randomNumbers()
const pick = <T,>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T

/** Mounts a separate disk for the data, on which `leave` leaves this many bytes free. Returns undefined if this user may not mount one. */
function mountDisk():
  | { folder: string; leave: (bytes: number) => void; free: () => void; unmount: () => void }
  | undefined {
  const folder = mkdtempSync(path.join(tmpdir(), 'l2-disk-'))
  const mount = (...args: string[]) => execFileSync('mount', [...args, folder], { stdio: 'pipe' })
  const size = 'size=4g'
  try {
    mount('-t', 'tmpfs', '-o', size, 'tmpfs')
  } catch {
    // Not root, or a container without permission to mount.
    rmSync(folder, { recursive: true })
    return undefined
  }
  return {
    folder,
    leave: (bytes: number) => {
      const { blocks, bfree, bsize } = statfsSync(folder)
      mount('-o', `remount,size=${(blocks - bfree) * bsize + bytes}`)
    },
    free: () => mount('-o', `remount,${size}`),
    unmount: () => {
      execFileSync('umount', [folder])
      rmSync(folder, { recursive: true })
    },
  }
}

const disk = mountDisk()
let ingest: IngestStack

const signal = (name: string, what: NodeJS.Signals) => {
  const pid = pids(ingest.stack.settings)[name]
  if (pid !== undefined) process.kill(pid, what)
}

const PORTS = {
  zookeeper: ['ZOOKEEPER_CLIENT_PORT'],
  kafka: ['KAFKA_LISTENER_PORT', 'KAFKA_INTERNAL_PORT'],
  clickhouse: ['CLICKHOUSE_HTTP_PORT'],
  redis: ['REDIS_PORT'],
} as const

/** Each fault returns a description. Services that it stopped are started again afterwards. */
const KINDS: Record<string, () => Promise<string>> = {
  kill: async () => {
    const name = pick(ALL)
    signal(name, 'SIGKILL')
    await delay(random() * 2_000)
    return `${name} killed`
  },
  halt: async () => {
    const name = pick(ALL)
    signal(name, 'SIGSTOP')
    await delay(HALT_MS)
    signal(name, 'SIGCONT')
    return `${name} paused for ${HALT_MS / 1000} s`
  },
  cut: async () => {
    const [name, ports] = pick(Object.entries(PORTS))
    const change = (how: '-A' | '-D') => {
      for (const port of ports)
        for (const end of ['--sport', '--dport']) {
          const rule = ['INPUT', '-i', 'lo', '-p', 'tcp', end, String(ingest.stack.settings[port]), '-j', 'DROP']
          execFileSync('iptables', [how, ...rule], { stdio: 'pipe' })
        }
    }
    try {
      change('-A')
    } catch {
      return 'network cut: not tried, that takes root and iptables'
    }
    await delay(HALT_MS).finally(() => change('-D'))
    return `network of ${name} cut for ${HALT_MS / 1000} s`
  },
  disk: async () => {
    if (!disk) return 'disk full: not tried, mounting takes root'
    // A disk fills up gradually. If it fills up in an instant, merges of the embedded ClickHouse lose rows (clickhouse/config.d/l2.xml).
    disk.leave(256 * 1024 ** 2)
    await delay(5_000)
    disk.leave(65_536)
    await delay(3_000)
    disk.free()
    return 'disk nearly full for 5 s, full for 3 s'
  },
  reset: async () => {
    const { exitCode, stdout } = await runScript('reset-kafka.mts', ['--yes', '--timeout', '10'], {
      env: ingest.stack.env,
    })
    assert.is(exitCode, 1, stdout)
    return 'reset refused'
  },
}

const load = suite('faults under load')
load.before(async () => {
  const folder = disk ? { EMBEDDED_DATA_DIR: path.join(disk.folder, 'data') } : {}
  ingest = await IngestStack.start({ INGEST: 'on', INGEST_FLUSH_MS: '500', ...folder })
  assert.is((await ingest.ingest(['on'])).exitCode, 0)
})

load(`${FAULTS} faults neither lose nor duplicate any of ${MESSAGES} messages`, async () => {
  const seconds = FAULTS * FAULT_S
  const rate = String(Math.ceil(MESSAGES / seconds))
  const args = [
    '--generate',
    '--count',
    `${MESSAGES}`,
    '--rate',
    rate,
    '--symbols',
    '200',
    '--timeout',
    '300',
    '--json',
  ]
  const replaying = runScript('replay.mts', [...args, '--seed', String(Math.floor(random() * 1e9))], {
    env: ingest.stack.env,
  })
  const poison = Array.from({ length: POISON }, (_, index) => `poison ${index}`)
  await ingest.send('iqfeed.l2.raw', poison)
  // Each kind at least once, then random ones.
  const first = sampled(['kill', 'kill', 'halt', 'cut', 'disk', 'reset'], FAULTS, random)
  const kinds = [...first, ...Array.from({ length: FAULTS - first.length }, () => pick(Object.keys(KINDS)))]
  const print = (rows: string[][]) => process.stdout.write(table(rows).replace(/^/gm, '\n· '))
  for (const [index, kind] of kinds.entries()) {
    await delay(random() * 4_000)
    // The reset is refused because of active readers, so they must be reading.
    if (kind === 'reset')
      await waitUntil(async () => (await ingest.ingest(['status'])).exitCode === 0, { timeoutMs: 60_000, pollMs: 500 })
    const what = await KINDS[kind]?.()
    const ended = ALL.filter((name) => pids(ingest.stack.settings)[name] === undefined)
    print([[String(index + 1), what ?? '', ended.length > 0 ? `${ended.join(', ')} started again` : '']])
    await ingest.startAgain()
  }
  const { exitCode, stdout, stderr } = await replaying
  assert.is(exitCode, 0, stderr)
  const topics: Record<string, { sent: number; acknowledged: number }> = JSON.parse(stdout).topics
  const all = async () => (await ingest.stored()) >= MESSAGES && (await ingest.count('market_rejects')) >= POISON
  await waitUntil(all, { timeoutMs: 180_000, pollMs: 200 })
  // Leaves time for a block that is read twice to be stored.
  await delay(2_000)
  const sum = (which: 'sent' | 'acknowledged') => Object.values(topics).reduce((total, each) => total + each[which], 0)
  const counts = {
    sent: sum('sent'),
    acknowledged: sum('acknowledged'),
    stored: await ingest.stored(),
    rejected: await ingest.count('market_rejects'),
    duplicated: await ingest.duplicates(),
  }
  print(Object.entries(counts).map(([name, value]) => [name, String(value)]))
  const expected = { sent: MESSAGES, acknowledged: MESSAGES, stored: MESSAGES, rejected: POISON, duplicated: 0 }
  assert.equal(counts, expected)
})

load.after(async () => {
  await ingest.stop()
  disk?.unmount()
})
load.run()
