/** Takes the terminal pictures of the README: runs real commands on a real stack. */
import { rmSync } from 'node:fs'
import { ROOT, readSettings } from '../../scripts/lib/settings/settings.mts'
import { runScript } from '../../test/support/command.mts'
import { pids } from '../../test/support/embedded.mts'
import { KafkaHelper } from '../../test/support/kafka.mts'
import { cleanEnv } from '../../test/support/project.mts'
import { typeOnTerminal, withColumns } from '../../test/support/terminal.mts'
import { COLUMNS, renderSvg } from './svg.mts'

const READER = { group: 'market_data_consumer', topic: 'trading.signals' }

/** Silences npm, and prevents an installation, which would remove packages while other processes use them. */
const NPM = { npm_config_loglevel: 'silent', npm_config_ignore_scripts: 'true', npm_config_progress: 'false' }

/**
 * Returns the pictures as SVG, by file name. Starts and stops the stack.
 * @param stackEnv all settings of a stack that is not running
 */
export async function takePictures(stackEnv: NodeJS.ProcessEnv): Promise<Record<string, string>> {
  const folder = stackEnv.EMBEDDED_DATA_DIR ?? ''
  const env: NodeJS.ProcessEnv = { ...stackEnv, ...NPM, DOCKER_HOST: cleanEnv().DOCKER_HOST, TERM: 'xterm-256color' }
  delete env.NO_COLOR
  const settings = readSettings(env)
  const kafka = new KafkaHelper(settings)
  const take = async (title: string, command: string) => {
    const { screen } = await typeOnTerminal(withColumns(COLUMNS, command), env, [])
    // Replaces the data folder with the default one, and removes the path of the project.
    return renderSvg(title, command, screen.replaceAll(folder, '.embedded/data').replaceAll(`${ROOT}/`, ''))
  }
  try {
    const start = await take(
      'npm start: each service as it becomes ready, then their health and addresses',
      'npm start',
    )
    await runScript('replay.mts', ['--generate', '--count', '20000', '--yes'], { env })
    let refused = ''
    await kafka.whileReading(READER.group, READER.topic, async () => {
      refused = await take('reset-kafka refuses while a consumer group reads', './scripts/reset-kafka.mts --yes')
    })
    process.kill(pids(settings).redis as number, 'SIGKILL')
    const health = await take('health-check: Redis was killed, the others are healthy', './scripts/health-check.mts')
    return { 'start.svg': start, 'health.svg': health, 'reset-refused.svg': refused }
  } finally {
    await runScript('stop.mts', [], { env })
    rmSync(folder, { recursive: true, force: true })
  }
}
