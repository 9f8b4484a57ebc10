/** Runs other programs. */

export interface Outcome {
  /** True for exit code 0. */
  ok: boolean
  /** The program's own; 127 when it is not there, null when it was killed. */
  exitCode: number | null
  stdout: string
  /** What it wrote, or why it was killed. */
  stderr: string
}

export interface RunOptions {
  /** Milliseconds until it is killed; without it, it may take for ever. */
  timeoutMs?: number
  cwd?: string
  env?: NodeJS.ProcessEnv
  /** Shows its standard error on this process's own. */
  progress?: boolean
  /** Bytes of output at which it is killed. */
  maxBytes?: number
}

/**
 * Runs a command, without input, to its end. It stays in this process's group: Ctrl-C reaches it too. What takes too long or says too much is
 * killed by SIGKILL, with its children: docker ends at SIGTERM with an exit code, or 0 and half an answer, as if it had ended by itself.
 */
export async function run(
  command: readonly string[],
  { timeoutMs, cwd, env, progress = false, maxBytes = 64 * 1024 ** 2 }: RunOptions = {},
): Promise<Outcome> {
  const { $ } = await import('zx/core')
  const running = $({
    nothrow: true,
    quiet: true,
    stdio: ['ignore', 'pipe', progress ? 'inherit' : 'pipe'],
    ...(cwd !== undefined && { cwd }),
    ...(env && { env }),
  })`${command}`
  let killed: string | undefined
  const kill = (why: string) => {
    killed ??= why
    running.kill('SIGKILL').catch(() => {
      // It ended meanwhile.
    })
  }
  const timer =
    timeoutMs === undefined ? undefined : setTimeout(() => kill(`no answer within ${timeoutMs / 1000} s`), timeoutMs)
  let bytes = 0
  for (const stream of [running.child?.stdout, running.child?.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= maxBytes) return
      // To find its children takes a while, in which it could fill the memory.
      stream.destroy()
      kill(`more than ${maxBytes} bytes of output`)
    })
  }
  const { ok, exitCode, stdout, stderr } = await running
  clearTimeout(timer)
  // Its children are killed before it, so it may still have ended as if all were well.
  return killed ? { ok: false, exitCode: null, stdout, stderr: killed } : { ok, exitCode, stdout, stderr }
}

/** Where a command is on the PATH of `env`; undefined when it is not there. */
export async function findCommand(name: string, env: NodeJS.ProcessEnv = process.env): Promise<string | undefined> {
  const { which } = await import('zx/core')
  return (await which(name, { nothrow: true, path: env.PATH ?? '' })) ?? undefined
}
