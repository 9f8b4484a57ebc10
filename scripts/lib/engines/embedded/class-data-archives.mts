/** Class-data archives, from which the Java machines start faster. */
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'
import { isFileError } from './data-dir.mts'
import type { Installed } from './definition.mts'
import { archiveFile } from './java-services.mts'
import { runningEmbedded } from './processes.mts'

/** Class-data archives that the JVMs of this data folder wrote at their end become everyone's. */
export function adoptArchives(dataDir: string, installed: Installed): void {
  const { archives } = installed
  const running = runningEmbedded(dataDir).map(({ name }) => name)
  for (const name of ['zookeeper', 'kafka']) {
    if (running.includes(name)) continue
    const archive = archiveFile(dataDir, name, installed)
    const target = path.join(archives.folder, `${name}.jsa`)
    const copy = `${target}.${process.pid}.tmp`
    try {
      // Copied beside its place first: the data may be on another file system, and other stacks read what is in the cache.
      if (existsSync(archive)) {
        mkdirSync(archives.folder, { recursive: true })
        copyFileSync(archive, copy)
        renameSync(copy, target)
        archives.existing.push(`${name}.jsa`)
      }
    } catch (failure) {
      // A cache of another user, or a full disk: a start without an archive only takes longer.
      if (!isFileError(failure)) throw failure
      rmSync(copy, { force: true })
    }
    // Also those that another JVM wrote, which this one would refuse.
    dropArchives(dataDir, name)
  }
}

/** Deletes the archives that a service has written. */
export function dropArchives(dataDir: string, name: string): void {
  const folder = path.join(dataDir, 'run')
  for (const file of readdirSync(folder)) {
    if (file.startsWith(`${name}.`) && file.endsWith('.jsa')) rmSync(path.join(folder, file))
  }
}
