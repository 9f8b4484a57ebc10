/** Checks that the containers can read the files that docker-compose.yml mounts. */
import { readdirSync, statSync } from 'node:fs'
import path from 'node:path'
import { error, type Finding } from '../common/findings.mts'
import { ROOT } from '../settings/settings.mts'

const FOLDERS = ['clickhouse', 'kafka', 'redis', 'zookeeper']

/** Reports mounted files that other users may not read, as after `git clone` with umask 077. Only on Linux: on macOS Docker maps users. */
export function mountFindings(): Finding[] {
  if (process.platform !== 'linux') return []
  const unreadable = FOLDERS.flatMap((folder) => [
    folder,
    ...readdirSync(path.join(ROOT, folder), { recursive: true }).map((file) => path.join(folder, String(file))),
  ]).filter((file) => {
    const stats = statSync(path.join(ROOT, file))
    const needed = stats.isDirectory() ? 0o005 : 0o004
    return (stats.mode & needed) !== needed
  })
  const [subject, ...more] = unreadable
  if (!subject) return []
  const found = `not readable by other users${more.length > 0 ? ` (and ${more.length} more)` : ''}; containers run as other users`
  return [error('MOUNT_UNREADABLE', subject, { found, hint: `chmod -R o+rX ${FOLDERS.join(' ')}` })]
}
