/** The pictures of the terminal in the README: real commands on a real stack, started and stopped here. */
import { rmSync } from 'node:fs'
import { ROOT, readSettings } from '../../scripts/lib/settings/settings.mts'
import { runScript } from '../../test/support/command.mts'
import { pids } from '../../test/support/embedded.mts'
import { KafkaHelper } from '../../test/support/kafka.mts'
import { cleanEnv } from '../../test/support/project.mts'
import { typeOnTerminal, withColumns } from '../../test/support/terminal.mts'
import { COLUMNS, renderSvg } from './svg.mts'

const READER = { group: 'market_data_consumer', topic: 'trading.signals' }

/** `npm start` without npm's own lines, and without an installation, which would take the packages away from what runs beside it. */
const NPM = { npm_config_loglevel: 'silent', npm_config_ignore_scripts: 'true', npm_config_progress: 'false' }

/**
 * The pictures by file name.
 * @param stackEnv every setting of a stack that does not run yet
 */
export async function takePictures(stackEnv: NodeJS.ProcessEnv): Promise<Record<string, string>> {
  const folder = stackEnv.EMBEDDED_DATA_DIR ?? ''
  const env: NodeJS.ProcessEnv = { ...stackEnv, ...NPM, DOCKER_HOST: cleanEnv().DOCKER_HOST, TERM: 'xterm-256color' }
  delete env.NO_COLOR
  const settings = readSettings(env)
  const kafka = new KafkaHelper(settings)
  const take = async (title: string, command: string) => {
    const { screen } = await typeOnTerminal(withColumns(COLUMNS, command), env, [])
    // The folder of this stack stands for the usual one, and no picture says where the project is.
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
