/** Where each service writes its log and, without containers, the record of its process. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import type { Settings } from '../settings/settings.mts'
import type { EmbeddedName } from './service.mts'

/** The log file of an embedded service. The log of the start before lies beside it, with `.1` at the end. */
export function logFile(dataDir: string, name: string): string {
  return path.join(dataDir, 'logs', `${name}.log`)
}

/** The file that records the process of an embedded service. */
export function recordFile(dataDir: string, name: string): string {
  return path.join(dataDir, 'run', `${name}.json`)
}

/** The hint that leads to a service's log: its file where the embedded stack runs, else the container's. */
export function logHint(service: EmbeddedName | 'kafka-ui', { EMBEDDED_DATA_DIR: dataDir }: Settings): string {
  if (existsSync(recordFile(dataDir, service))) return `read ${logFile(dataDir, service)}`
  return `docker logs l2_${service.replace('-', '_')}`
}
