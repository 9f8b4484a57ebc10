/** The report of a run: images, results and measurements. */
import { output } from './engine.mts'
import type { Image } from './images.mts'
import type { Result } from './suite.mts'

export interface Run {
  images: Image[]
  results: Result[]
  /** Test files that failed or ran no tests. */
  incomplete: string[]
  /** The value of CLICKHOUSE_MAX_OPEN_FILES if the machine does not allow the default. */
  limit: number | undefined
  tookMs: number
  interrupted: boolean
}

/** Renders the report. Its last line counts the tests. */
export async function renderReport({ images, results, incomplete, limit, tookMs, interrupted }: Run): Promise<string> {
  const engine = (await output(['docker', 'version', '--format', '{{.Server.Version}}'])).trim()
  const compose = (await output(['docker', 'compose', 'version', '--short'])).trim()
  const passed = results.filter((result) => result.passed).length
  // A file that failed outside of its tests counts as a failure too.
  const failed = results.length - passed || (incomplete.length > 0 || interrupted ? 1 : 0)
  return [
    '',
    `docker-compose.yml on Docker Engine ${engine} with Compose ${compose}`,
    ...images.map(({ service, kind, name }) => `  ${service.padEnd(10)}  ${kind.padEnd(8)}  ${name}`),
    ...(limit === undefined ? [] : [`  CLICKHOUSE_MAX_OPEN_FILES=${limit}: the maximum on this machine`]),
    ...results.flatMap((result, index) => [
      ...(result.suite === results[index - 1]?.suite ? [] : ['', result.suite]),
      `  ${result.passed ? '✓' : '✗'} ${result.name} (${result.seconds.toFixed(1)} s)`,
      ...result.notes.map((text) => `      ${text}`),
    ]),
    '',
    ...(interrupted ? ['Interrupted'] : []),
    ...incomplete.map((file) => `✗ ${file}`),
    `Took ${(tookMs / 60_000).toFixed(1)} minutes`,
    `${passed} passed, ${failed} failed`,
  ].join('\n')
}
