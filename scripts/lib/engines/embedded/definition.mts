/** The types that define an embedded service and its installed files. */
import path from 'node:path'
import { ROOT } from '../../settings/settings.mts'
import type { EmbeddedName } from '../service.mts'
import type { Launch } from './processes.mts'

/** Paths of the installed parts of the embedded stack. */
export interface Installed {
  java: string
  jars: string[]
  /** Folder whose node_modules contains ClickHouse. */
  libraries: string
  redisServer: string
  /** Folder of the CDS archives in the cache, and the names of those that exist. */
  archives: { folder: string; existing: string[] }
}

export interface EmbeddedService extends Launch {
  name: EmbeddedName
  /** Address of the ports. The service is ready when every port answers. */
  host: string
  ports: number[]
  /** Files to write before the start, by path: the contents of the shared file `base`, if any, followed by `text`. */
  files?: Record<string, { base?: string; text: string }>
  /** Links to create before the start: path of the link, and the shared file that it points to. */
  links?: Record<string, string>
  /** Folders to create before the start. */
  folders?: string[]
  /** Folders to delete before the start. */
  leftovers?: string[]
  /** Authorization header of the readiness check, for a service that requires one over HTTP. */
  authorization?: string
  /** Longest time from the launch until the service is ready, in ms. */
  startTimeoutMs: number
}

/** Returns the path of a file of the repository. */
export const shared = (file: string) => path.join(ROOT, file)
