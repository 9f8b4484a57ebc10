/** Paths of the services' logs and process records. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import type { Settings } from '../settings/settings.mts'
import type { EmbeddedName } from './service.mts'

/** Returns the log file of an embedded service. The log of its previous start has the suffix `.1`. */
export function logFile(dataDir: string, name: string): string {
  return path.join(dataDir, 'logs', `${name}.log`)
}

/** Returns the file that records the process of an embedded service. */
export function recordFile(dataDir: string, name: string): string {
  return path.join(dataDir, 'run', `${name}.json`)
}

/** Returns the hint to read a service's log: its file if the embedded stack recorded it, otherwise the container's log. */
export function logHint(service: EmbeddedName | 'kafka-ui', { EMBEDDED_DATA_DIR: dataDir }: Settings): string {
  if (existsSync(recordFile(dataDir, service))) return `read ${logFile(dataDir, service)}`
  return `docker logs l2_${service.replace('-', '_')}`
}
