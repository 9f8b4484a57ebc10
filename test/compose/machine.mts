/** What the engine already contains under the project's name, and what the machine allows. */
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { HELPER, PROJECT, run } from './engine.mts'
import type { Image } from './images.mts'

export interface Present {
  kind: 'container' | 'volume' | 'network'
  name: string
}

/**
 * Lists containers, volumes and networks of the compose project, and the tests' helper containers, in the order in which they can be
 * deleted.
 */
export async function present(): Promise<Present[]> {
  const found: Present[] = []
  const list = async (kind: Present['kind'], ...command: string[]) => {
    const { stdout } = await run(['docker', ...command])
    for (const name of stdout.split('\n').filter(Boolean)) found.push({ kind, name })
  }
  const label = `label=com.docker.compose.project=${PROJECT}`
  await list('container', 'ps', '-a', '--filter', label, '--format', '{{.Names}}')
  await list('container', 'ps', '-a', '--filter', `label=${HELPER}`, '--format', '{{.Names}}')
  await list('volume', 'volume', 'ls', '--filter', label, '--format', '{{.Name}}')
  await list('volume', 'volume', 'ls', '--filter', `name=^${PROJECT}_`, '--format', '{{.Name}}')
  await list('network', 'network', 'ls', '--filter', label, '--format', '{{.Name}}')
  return found.filter(({ kind, name }, index) => found.findIndex((o) => o.kind === kind && o.name === name) === index)
}

/** Deletes everything that {@link present} lists, and what an interrupted Compose still creates in the meantime. */
export async function removeAll(): Promise<void> {
  let failure = ''
  const none = async () => {
    const found = await present()
    for (const { kind, name } of found) {
      const { exitCode, stderr } = await run(['docker', kind, 'rm', ...(kind === 'network' ? [] : ['--force']), name])
      if (exitCode !== 0) failure = `Cannot remove the ${kind} "${name}": ${stderr}`
    }
    return found.length === 0
  }
  if (!(await waitUntil(none, { timeoutMs: 60_000, pollMs: 1_000 }))) throw new Error(failure)
}

/**
 * Returns the CLICKHOUSE_MAX_OPEN_FILES that this machine requires: undefined if the default is allowed, else the engine's own limit, if it
 * may not raise it (rootless, sandboxed).
 */
export async function openFilesLimit(images: Image[]): Promise<number | undefined> {
  const image = images.find(({ service }) => service === 'redis')?.name ?? ''
  const raised = await run(['docker', 'run', '--rm', '--ulimit', 'nofile=262144', '--entrypoint', 'true', image])
  if (raised.exitCode === 0) return undefined
  if (!raised.stderr.includes('rlimit')) throw new Error(raised.stderr)
  const limit = await run(['docker', 'run', '--rm', '--entrypoint', 'sh', image, '-c', 'ulimit -Hn'])
  return Number(limit.stdout)
}
