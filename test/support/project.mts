/** Temporary project folders for tests that write .env or other compose files. */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { ROOT, VARIABLES } from '../../scripts/lib/settings/settings.mts'

const folders: string[] = []
process.on('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

/** Creates a folder with `files`, by relative path. It is deleted when this process exits. */
export function projectFolder(files: Record<string, string> = {}): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'l2-project-'))
  folders.push(folder)
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(folder, file)), { recursive: true })
    writeFileSync(path.join(folder, file), content)
  }
  return folder
}

/**
 * Copies the files that the commands need into a new folder, so that tests may change .env and the compose file. Writes `files` over them.
 */
export function projectCopy(files: Record<string, string> = {}): string {
  const folder = projectFolder()
  for (const entry of ['scripts', 'docker-compose.yml', '.env.template', 'package.json', 'kafka']) {
    cpSync(path.join(ROOT, entry), path.join(folder, entry), { recursive: true })
  }
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'))
  for (const [file, content] of Object.entries(files)) writeFileSync(path.join(folder, file), content)
  return folder
}

/** Returns this process's environment without settings, Compose variables and a Docker engine, and with `values` added. */
export function cleanEnv(values: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !Object.hasOwn(VARIABLES, name) && !/^(COMPOSE|DOCKER)_/.test(name),
  )
  return { ...Object.fromEntries(kept), NO_COLOR: '1', DOCKER_HOST: 'unix:///nonexistent/docker.sock', ...values }
}

/** Returns whether tests may use `docker compose` and it is Compose v2, which needs no engine to read a project. */
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
