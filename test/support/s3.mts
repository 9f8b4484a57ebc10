/** A real S3 server (S3Proxy over a folder) on a free port. Downloaded once into .embedded/cache. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { findCommand, run } from '../../scripts/lib/common/run.mts'
import { exchange } from '../../scripts/lib/common/tcp.mts'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { verify } from '../../scripts/lib/engines/embedded/install.mts'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { freePorts } from './stack.mts'

const SOURCES = path.join(ROOT, 'test', 's3')

export const BUCKET = 'l2-bucket'

export interface S3Server {
  /** Settings that select this server. */
  env: Record<'S3_ENDPOINT' | 'S3_REGION' | 'S3_ACCESS_KEY_ID' | 'S3_SECRET_ACCESS_KEY', string>
  /** The folder whose files are the objects of {@link BUCKET}. */
  folder: string
  stop: () => Promise<void>
}

/** Returns the folder of S3Proxy's jars, after downloading them if necessary and verifying their checksums. */
async function install(): Promise<string> {
  const [pom, pins] = [path.join(SOURCES, 'pom.xml'), readFileSync(path.join(SOURCES, 'jars.sha256'), 'utf8')]
  const hash = createHash('sha256').update(readFileSync(pom)).update(pins).digest('hex').slice(0, 12)
  const cache = path.join(ROOT, '.embedded', 'cache')
  const folder = path.join(cache, `s3-${hash}`)
  if (!existsSync(folder)) {
    mkdirSync(cache, { recursive: true })
    const half = mkdtempSync(path.join(cache, 's3-half-'))
    const command = ['mvn', '-q', '-B', '-f', pom, 'generate-resources', `-DoutputFolder=${half}`]
    const { ok, stdout, stderr } = await run(command, { timeoutMs: 600_000 })
    if (!ok) throw new Error(`Cannot fetch S3Proxy: ${stdout}\n${stderr}`)
    verify(half, pins)
    renameSync(half, folder)
  }
  verify(folder, pins)
  return path.join(folder, 'jars')
}

export async function startS3(): Promise<S3Server> {
  const jars = await install()
  const data = mkdtempSync(path.join(tmpdir(), 'l2-s3-'))
  const folder = path.join(data, 'objects', BUCKET)
  mkdirSync(folder, { recursive: true })
  const [port = 0] = await freePorts(1)
  const env = {
    S3_ENDPOINT: `http://127.0.0.1:${port}`,
    S3_REGION: 'eu-central-1',
    S3_ACCESS_KEY_ID: 'l2-tests',
    S3_SECRET_ACCESS_KEY: 'correct/horse+battery',
  }
  const properties = {
    's3proxy.endpoint': env.S3_ENDPOINT,
    's3proxy.authorization': 'aws-v2-or-v4',
    's3proxy.identity': env.S3_ACCESS_KEY_ID,
    's3proxy.credential': env.S3_SECRET_ACCESS_KEY,
    'jclouds.provider': 'filesystem-nio2',
    'jclouds.filesystem.basedir': path.dirname(folder),
  }
  const [file, log] = [path.join(data, 's3proxy.conf'), path.join(data, 'logback.xml')]
  const lines = Object.entries(properties).map(([name, value]) => `${name}=${value}\n`)
  writeFileSync(file, lines.join(''))
  writeFileSync(log, '<configuration><root level="OFF"/></configuration>')
  const java = ['-Xmx128m', '-XX:TieredStopAtLevel=1', `-Dlogback.configurationFile=${log}`, '-cp', `${jars}/*`]
  const command = (await findCommand('java')) ?? 'java'
  const child = spawn(command, [...java, 'org.gaul.s3proxy.Main', '--properties', file], { stdio: 'ignore' })
  const answers = async () => {
    const request = 'GET / HTTP/1.0\r\n\r\n'
    return exchange({ host: '127.0.0.1', port }, request, () => true, 5_000).then(
      (answer) => answer.length > 0,
      () => false,
    )
  }
  if (!(await waitUntil(answers, { timeoutMs: 60_000, pollMs: 100 }))) throw new Error('S3Proxy does not start')
  return {
    env,
    folder,
    stop: async () => {
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
      rmSync(data, { recursive: true })
    },
  }
}
