export interface Outcome {
  ok: boolean
  /** 127 when the program does not exist, null when it was killed. */
  exitCode: number | null
  stdout: string
  /** The program's standard error, or why it was killed. */
  stderr: string
}

export interface RunOptions {
  /** Milliseconds after which it is killed; no limit by default. */
  timeoutMs?: number
  cwd?: string
  env?: NodeJS.ProcessEnv
  /** Passes its standard error through to this process's. */
  progress?: boolean
  /** Bytes of output at which it is killed. */
  maxBytes?: number
}

/**
 * Runs a command without input and returns its outcome. It stays in this process's group, so Ctrl-C reaches it too. A command that takes too
 * long or prints too much is killed with its children. SIGKILL rather than SIGTERM, on which docker exits normally, even with 0 and partial output.
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
      // It has already exited.
    })
  }
  const timer =
    timeoutMs === undefined ? undefined : setTimeout(() => kill(`no answer within ${timeoutMs / 1000} s`), timeoutMs)
  let bytes = 0
  for (const stream of [running.child?.stdout, running.child?.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= maxBytes) return
      // Finding its children takes a while; its output could fill the memory meanwhile.
      stream.destroy()
      kill(`more than ${maxBytes} bytes of output`)
    })
  }
  const { ok, exitCode, stdout, stderr } = await running
  clearTimeout(timer)
  // Its children are killed first, so it may still have exited with 0.
  return killed ? { ok: false, exitCode: null, stdout, stderr: killed } : { ok, exitCode, stdout, stderr }
}

/** Returns the path of a command on the PATH of `env`; undefined if there is none. */
export async function findCommand(name: string, env: NodeJS.ProcessEnv = process.env): Promise<string | undefined> {
  const { which } = await import('zx/core')
  return (await which(name, { nothrow: true, path: env.PATH ?? '' })) ?? undefined
}
