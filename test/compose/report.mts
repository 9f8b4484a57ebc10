/** The report of a run: which images, what was proved, what was measured. */
import { output } from './engine.mts'
import type { Image } from './images.mts'
import type { Proved } from './proof.mts'

export interface Run {
  images: Image[]
  results: Proved[]
  /** Test files that failed or ran nothing. */
  incomplete: string[]
  /** What CLICKHOUSE_MAX_OPEN_FILES was set to because the machine allows no more. */
  limit: number | undefined
  tookMs: number
  interrupted: boolean
}

/** The report as text; its last line counts the tests. */
export async function renderReport({ images, results, incomplete, limit, tookMs, interrupted }: Run): Promise<string> {
  const engine = (await output(['docker', 'version', '--format', '{{.Server.Version}}'])).trim()
  const compose = (await output(['docker', 'compose', 'version', '--short'])).trim()
  const passed = results.filter((result) => result.passed).length
  // A file that broke off before or beside its tests failed too.
  const failed = results.length - passed || (incomplete.length > 0 || interrupted ? 1 : 0)
  return [
    '',
    `docker-compose.yml on Docker Engine ${engine} with Compose ${compose}`,
    ...images.map(({ service, kind, name }) => `  ${service.padEnd(10)}  ${kind.padEnd(8)}  ${name}`),
    ...(limit === undefined ? [] : [`  CLICKHOUSE_MAX_OPEN_FILES=${limit}: this machine allows no more`]),
    ...results.flatMap((result, index) => [
      ...(result.suite === results[index - 1]?.suite ? [] : ['', result.suite]),
      `  ${result.passed ? '✓' : '✗'} ${result.name} (${result.seconds.toFixed(1)} s)`,
      ...result.notes.map((text) => `      ${text}`),
    ]),
    '',
    ...(interrupted ? ['Interrupted'] : []),
    ...incomplete.map((file) => `✗ ${file}`),
    `In ${(tookMs / 60_000).toFixed(1)} minutes`,
    `${passed} passed, ${failed} failed`,
  ].join('\n')
}
