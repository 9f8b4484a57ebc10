import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { foreignTargets } from '../../scripts/lib/command/target.mts'
import type { OpsError } from '../../scripts/lib/common/findings.mts'
import type { Container } from '../../scripts/lib/engines/inspect.mts'
import { logHint } from '../../scripts/lib/engines/logs.mts'
import { modeOf, refuseOtherComposeFiles, refuseProduction } from '../../scripts/lib/engines/mode.mts'
import { isProduction } from '../../scripts/lib/settings/production.mts'
import { ROOT, readSettings } from '../../scripts/lib/settings/settings.mts'
import { cleanEnv, projectFolder } from '../support/project.mts'

const mode = suite('modeOf')
const containers = [{ service: 'redis', state: 'exited' } as Container]

mode('is Docker if there are containers, whatever an embedded stack left', () => {
  assert.is(modeOf(containers, projectFolder()), 'docker')
  assert.is(modeOf(containers, projectFolder({ 'logs/redis.log': '', 'run/redis.json': '{}' })), 'docker')
})

mode('is embedded if a process is recorded, and after a stop, which keeps the logs', () => {
  for (const files of [{ 'run/redis.json': '{}' }, { 'logs/redis.log': '' }] as Record<string, string>[])
    assert.is(modeOf([], projectFolder(files)), 'embedded')
})

mode('is unknown if nothing ever ran, or Docker does not answer', () => {
  assert.is(modeOf([], projectFolder()), 'unknown')
  assert.is(modeOf(undefined, projectFolder({ 'logs/redis.log': '' })), 'unknown')
})
mode.run()

const files = suite('refuseOtherComposeFiles')

/** Returns the finding for these lines of .env, or undefined. */
function mismatch(dotEnv: string) {
  const root = projectFolder({
    '.env': dotEnv,
    '.env.template': readFileSync(path.join(ROOT, '.env.template'), 'utf8'),
  })
  const env = cleanEnv()
  try {
    refuseOtherComposeFiles(readSettings(env, root), root, env)
    return undefined
  } catch (failure) {
    const { exitCode, findings } = failure as OpsError
    return [exitCode, findings[0]?.code, findings[0]?.hint]
  }
}
const BOTH = 'COMPOSE_FILE=docker-compose.yml:docker-compose.kraft.yml'

files('let each mode run with its own compose files', () => {
  for (const dotEnv of ['', 'COMPOSE_FILE=docker-compose.yml', `KAFKA_MODE=kraft\n${BOTH}`])
    assert.is(mismatch(dotEnv), undefined, dotEnv)
})

files('refuse a mode with the files of the other', () => {
  assert.equal(mismatch('KAFKA_MODE=kraft'), [2, 'COMPOSE_MODE', `edit .env: ${BOTH}`])
  assert.equal(mismatch(BOTH), [2, 'COMPOSE_MODE', 'edit .env: KAFKA_MODE=kraft'])
})
files.run()

const hints = suite('logHint')

hints('names the file in EMBEDDED_DATA_DIR if the embedded service is recorded, otherwise the container', () => {
  const folder = projectFolder()
  const settings = readSettings(cleanEnv({ EMBEDDED_DATA_DIR: folder }))
  assert.is(logHint('redis', settings), 'docker logs l2_redis')
  assert.is(logHint('kafka-ui', settings), 'docker logs l2_kafka_ui')
  mkdirSync(path.join(folder, 'run'))
  writeFileSync(path.join(folder, 'run/redis.json'), '{}')
  assert.is(logHint('redis', settings), `read ${folder}/logs/redis.log`)
  assert.is(logHint('kafka', settings), 'docker logs l2_kafka')
})
hints.run()

const production = suite('refuseProduction')

production('refuses the embedded stack if COMPOSE_FILE names docker-compose.prod.yml', () => {
  refuseProduction(false)
  assert.throws(() => refuseProduction(true), /the embedded stack has no TLS/)
  const isNamed = (dotEnv: string) => isProduction(cleanEnv(), projectFolder({ '.env': dotEnv }))
  assert.equal(['', BOTH, 'COMPOSE_FILE=docker-compose.yml:docker-compose.prod.yml'].map(isNamed), [false, false, true])
})

production('lets npm start continue with the logins of that file alone', async () => {
  const refusals = async (values: NodeJS.ProcessEnv, isNamed: boolean) => {
    const root = projectFolder({ '.env.template': readFileSync(path.join(ROOT, '.env.template'), 'utf8') })
    return (await foreignTargets(readSettings(cleanEnv(values), root), isNamed)).map(({ subject }) => subject)
  }
  const secure = {
    ...{ KAFKA_SECURITY_PROTOCOL: 'SASL_SSL', KAFKA_SASL_MECHANISM: 'PLAIN', KAFKA_SASL_USERNAME: 'l2' },
    ...{ KAFKA_SASL_PASSWORD: 'kafka-word', CLICKHOUSE_SECURE: 'true', REDIS_TLS: 'true' },
  }
  const all = ['KAFKA_SECURITY_PROTOCOL', 'KAFKA_SASL_MECHANISM', 'CLICKHOUSE_SECURE', 'REDIS_TLS']
  assert.equal([await refusals({}, false), await refusals(secure, true)], [[], []])
  assert.equal([await refusals(secure, false), await refusals({}, true)], [all, all])
})
production.run()
