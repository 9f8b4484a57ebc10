/** Runs the project's commands with --json. */
import type { Finding } from '../../scripts/lib/common/findings.mts'
import { script } from './engine.mts'

export interface Reported {
  exitCode: number | null
  findings: Finding[]
  data: {
    mode?: string
    wasRunning?: boolean
    tookMs?: number
    services?: { service: string; state: string; summary: string; details: Record<string, unknown> }[]
  }
}

/** Runs a command of the working copy with --json. */
export async function reported(name: string, ...args: string[]): Promise<Reported> {
  const { exitCode, stdout, stderr } = await script(name, ...args, '--json')
  try {
    const { findings, ...data } = JSON.parse(stdout)
    return { exitCode, findings, data }
  } catch {
    throw new Error(
      `${name} --json: found no JSON object on standard output\n${stdout.slice(0, 500)}\n${stderr.slice(-2000)}`,
    )
  }
}
