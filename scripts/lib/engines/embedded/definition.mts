/** What defines an embedded service, and where its parts are. */
import path from 'node:path'
import { ROOT } from '../../settings/settings.mts'
import type { EmbeddedName } from '../service.mts'
import type { Launch } from './processes.mts'

/** Where the installed parts of the embedded stack are. */
export interface Installed {
  java: string
  jars: string[]
  /** Folder whose node_modules holds ClickHouse. */
  libraries: string
  redisServer: string
  /** Class-data archives of earlier runs by service, or where this run writes one. */
  archives: { folder: string; existing: string[] }
}

export interface EmbeddedService extends Launch {
  name: EmbeddedName
  /** Where it answers: it is ready when each port does. */
  host: string
  ports: number[]
  /** Files to write before the start, by path: `text`, after the contents of the shared file `base` if there is one. */
  files?: Record<string, { base?: string; text: string }>
  /** Links to make before the start: path of the link, and the shared file it leads to. */
  links?: Record<string, string>
  folders?: string[]
  /** Folders to delete before the start. */
  leftovers?: string[]
  /** The header that logs in over HTTP, where one is needed to ask whether it serves. */
  login?: string
  /** Longest time to its first answer, in ms. */
  startTimeoutMs: number
}

/** A file that containers and embedded stack share. */
export const shared = (file: string) => path.join(ROOT, file)
