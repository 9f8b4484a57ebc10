/** Runs `npm run ui` as a child process. */
import { spawn } from 'node:child_process'
import path from 'node:path'
import { ROOT } from '../../scripts/lib/settings/settings.mts'

export interface UiProcess {
  url: string
  pid: number
  /** Returns everything printed so far. */
  output: () => string
  /** Sends SIGINT and returns the exit code. */
  end: () => Promise<number | null>
}

/** Starts the page and waits for its address. @throws {Error} with the output if it exits before that */
export function startUi(env: NodeJS.ProcessEnv, args: readonly string[] = []): Promise<UiProcess> {
  const child = spawn(path.join(ROOT, 'scripts/ui.mts'), args, { env, cwd: ROOT })
  let output = ''
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
  const end = () => {
    child.kill('SIGINT')
    return ended
  }
  return new Promise((resolve, reject) => {
    const take = (chunk: Buffer) => {
      output += chunk
      const url = /http:\/\/127\.0\.0\.1:\d+/.exec(output)?.[0]
      if (url) resolve({ url, pid: child.pid ?? 0, output: () => output, end })
    }
    child.stdout.on('data', take)
    child.stderr.on('data', take)
    child.on('error', reject)
    ended.then((exitCode) => reject(new Error(`npm run ui ended with ${exitCode}: ${output}`)))
  })
}
