/** The files that docker-compose.yml mounts, as the containers' users see them. */
import { readdirSync, statSync } from 'node:fs'
import path from 'node:path'
import { error, type Finding } from '../common/findings.mts'
import { ROOT } from '../settings/settings.mts'

const FOLDERS = ['clickhouse', 'kafka', 'redis', 'zookeeper']

/** A finding when other users may not read these files, as after `git clone` with umask 077; none on macOS, whose engine maps users. */
export function mountFindings(): Finding[] {
  if (process.platform !== 'linux') return []
  const closed = FOLDERS.flatMap((folder) => [
    folder,
    ...readdirSync(path.join(ROOT, folder), { recursive: true }).map((file) => path.join(folder, String(file))),
  ]).filter((file) => {
    const stats = statSync(path.join(ROOT, file))
    const needed = stats.isDirectory() ? 0o005 : 0o004
    return (stats.mode & needed) !== needed
  })
  if (closed.length === 0) return []
  const [subject, more] = [closed[0] as string, closed.length - 1]
  const found = `closed to other users${more > 0 ? `, and ${more} more` : ''}: the containers' services run as users of their own`
  return [error('MOUNT_UNREADABLE', subject, { found, hint: `chmod -R o+rX ${FOLDERS.join(' ')}` })]
}
