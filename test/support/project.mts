/** Project folders of their own for tests that write .env or other compose files. */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { ROOT, VARIABLES } from '../../scripts/lib/settings/settings.mts'

const folders: string[] = []
process.on('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

/** A new folder with `files`, by their paths in it; deleted when this process ends. */
export function projectFolder(files: Record<string, string> = {}): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'l2-project-'))
  folders.push(folder)
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(folder, file)), { recursive: true })
    writeFileSync(path.join(folder, file), content)
  }
  return folder
}

/** A copy of what the commands need, whose .env and compose file tests may change; `files` on top. */
export function projectCopy(files: Record<string, string> = {}): string {
  const folder = projectFolder()
  for (const entry of ['scripts', 'docker-compose.yml', '.env.template', 'package.json', 'kafka']) {
    cpSync(path.join(ROOT, entry), path.join(folder, entry), { recursive: true })
  }
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'))
  for (const [file, content] of Object.entries(files)) writeFileSync(path.join(folder, file), content)
  return folder
}

/** This process's environment without what sets the stack or steers Compose, and without an engine; `values` on top. */
export function cleanEnv(values: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(
    ([name]) => !Object.hasOwn(VARIABLES, name) && !/^(COMPOSE|DOCKER)_/.test(name),
  )
  return { ...Object.fromEntries(own), NO_COLOR: '1', DOCKER_HOST: 'unix:///nonexistent/docker.sock', ...values }
}

/** True where `docker compose` is a Compose v2, which needs no engine to read a project, and the tests may use it. */
export function hasCompose(): boolean {
  if (process.env.L2_WITHOUT_COMPOSE) return false
  try {
    return /^v?[2-9]/.test(
      execFileSync('docker', ['compose', 'version', '--short'], { encoding: 'utf8', stdio: 'pipe' }),
    )
  } catch {
    return false
  }
}
