import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Container } from '../../scripts/lib/engines/inspect.mts'
import { modeOf } from '../../scripts/lib/engines/mode.mts'
import { logHint } from '../../scripts/lib/engines/service.mts'
import { readSettings } from '../../scripts/lib/settings/settings.mts'
import { cleanEnv, projectFolder } from '../support/project.mts'

const mode = suite('modeOf')
const containers = [{ service: 'redis', state: 'exited' } as Container]

mode('is Docker where there are containers, whatever an embedded stack left', () => {
  assert.is(modeOf(containers, projectFolder()), 'docker')
  assert.is(modeOf(containers, projectFolder({ 'logs/redis.log': '', 'run/redis.json': '{}' })), 'docker')
})

mode('is embedded where a process is recorded, and after a stop, which leaves the logs', () => {
  for (const files of [{ 'run/redis.json': '{}' }, { 'logs/redis.log': '' }] as Record<string, string>[])
    assert.is(modeOf([], projectFolder(files)), 'embedded')
})

mode('is unknown where nothing ever ran, or Docker does not say', () => {
  assert.is(modeOf([], projectFolder()), 'unknown')
  assert.is(modeOf(undefined, projectFolder({ 'logs/redis.log': '' })), 'unknown')
})
mode.run()

const hints = suite('logHint')

hints('names the file in EMBEDDED_DATA_DIR where the embedded service is recorded, else the container', () => {
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
