/** CDS archives (class data sharing), which make the JVMs start faster. */
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'
import { isFileError } from './data-dir.mts'
import type { Installed } from './definition.mts'
import { archiveFile } from './java-services.mts'
import { runningEmbedded } from './processes.mts'

/** Copies the CDS archives that JVMs of this data folder wrote at their exit to the cache, for all stacks. */
export function adoptArchives(dataDir: string, installed: Installed): void {
  const { archives } = installed
  const running = runningEmbedded(dataDir).map(({ name }) => name)
  for (const name of ['zookeeper', 'kafka']) {
    if (running.includes(name)) continue
    const archive = archiveFile(dataDir, name, installed)
    const target = path.join(archives.folder, `${name}.jsa`)
    const copy = `${target}.${process.pid}.tmp`
    try {
      // Copied, then renamed: the data may be on another file system, and other stacks may read the cache at any time.
      if (existsSync(archive)) {
        mkdirSync(archives.folder, { recursive: true })
        copyFileSync(archive, copy)
        renameSync(copy, target)
        archives.existing.push(`${name}.jsa`)
      }
    } catch (failure) {
      // The cache belongs to another user, or the disk is full: a start without an archive only takes longer.
      if (!isFileError(failure)) throw failure
      rmSync(copy, { force: true })
    }
    // Includes archives of other JVMs, which this one would reject.
    dropArchives(dataDir, name)
  }
}

/** Deletes the archives that a service wrote to the data folder. */
export function dropArchives(dataDir: string, name: string): void {
  const folder = path.join(dataDir, 'run')
  for (const file of readdirSync(folder)) {
    if (file.startsWith(`${name}.`) && file.endsWith('.jsa')) rmSync(path.join(folder, file))
  }
}
