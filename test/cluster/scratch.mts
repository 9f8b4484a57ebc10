/** scratch */
import { writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { stackEnv } from '../support/stack.mts'
import { brokersOf } from './brokers.mts'
const b = await brokersOf([1, 2, 3], [1, 2, 3])
await b.start(1, 2)
const env = await stackEnv({ KAFKA_BOOTSTRAP_SERVERS: b.servers })
writeFileSync('/tmp/reb-env.json', JSON.stringify({ ...env, KAFKA_BOOTSTRAP_SERVERS: b.servers, DOCKER_HOST: 'unix:///nonexistent/docker.sock' }))
console.log('up')
const fs = await import('node:fs')
for (let i = 0; i < 900; i++) {
  await delay(1000)
  if (fs.existsSync('/tmp/reb-cmd')) {
    const [c, id] = fs.readFileSync('/tmp/reb-cmd', 'utf8').trim().split(' ')
    fs.rmSync('/tmp/reb-cmd')
    if (c === 'start') await b.start(Number(id))
    if (c === 'kill') await b.kill(Number(id))
    if (c === 'end') break
    console.log('did', c, id)
  }
}
await b.end()
