/** The images under test: the pinned ones if they can be pulled, else stand-ins built here under separate names. */
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parse } from 'dotenv'
import { install } from '../../scripts/lib/engines/embedded/install.mts'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { output, run, SERVICES, type Service } from './engine.mts'

export interface Image {
  service: Service
  /** The .env variable that selects the image. */
  variable: string
  name: string
  kind: 'real' | 'stand-in' | 'stub'
}

const SOURCES = path.join(ROOT, 'test', 'compose', 'images')

/** The base of every stand-in. The release is fixed, so that results do not depend on the machine. */
const RELEASE = 'bookworm'
const PACKAGES = 'busybox,gosu,netcat-openbsd,openjdk-17-jre-headless,redis-server,wget'

/** Kafka's command-line tools, which the embedded stack does not need. The checksum is the same pin as for its jars. */
const TOOLS = {
  artifact: 'org.apache.kafka:kafka-tools:3.9.2',
  sha256: '3e6844711c3f5c9148f76ac96dfbf1de0aeeba11249e142e084b6de68e0ed05e',
}

type Log = (line: string) => void

/**
 * Returns one image per service. Uses a real image if it is present or can be pulled. After the first failed pull, tries no other. With
 * `standInsOnly`, tries none at all.
 */
export async function chooseImages(standInsOnly: boolean, log: Log): Promise<Image[]> {
  const pinned = parse(readFileSync(path.join(ROOT, '.env.template'), 'utf8'))
  const images: Image[] = []
  let reachable = !standInsOnly
  for (const service of SERVICES) {
    const variable = `${service.toUpperCase().replace('-', '_')}_IMAGE`
    const name = pinned[variable] ?? ''
    if (!standInsOnly && (await present(name, reachable, log))) {
      images.push({ service, variable, name, kind: 'real' })
    } else {
      reachable = false
      const kind = service === 'kafka-ui' ? 'stub' : 'stand-in'
      images.push({ service, variable, name: `l2-stand-in/${service}:test`, kind })
    }
  }
  await build(
    images.filter(({ kind }) => kind !== 'real'),
    log,
  )
  return images
}

async function present(name: string, reachable: boolean, log: Log): Promise<boolean> {
  if ((await run(['docker', 'image', 'inspect', name])).exitCode === 0) return true
  if (!reachable) return false
  log(`Pulling ${name}`)
  const { exitCode, stderr } = await run(['timeout', '900', 'docker', 'pull', '-q', name])
  if (exitCode !== 0) log(`  pull failed: ${stderr.trim().split('\n').at(-1)}; using stand-ins`)
  return exitCode === 0
}

async function build(images: Image[], log: Log): Promise<void> {
  if (images.length === 0) return
  const base = await buildBase(log)
  const { jars, libraries } = await install('zookeeper', log)
  const tools = await fetchTools()
  const node = mkdtempSync(path.join(tmpdir(), 'l2-node-'))
  copyFileSync(process.execPath, path.join(node, 'node'))
  const modules = path.join(ROOT, 'node_modules')
  const contexts = {
    jars: path.dirname(jars[0] ?? ''),
    kafkajs: path.join(modules, 'kafkajs'),
    jiti: path.join(modules, 'jiti'),
    scripts: path.join(ROOT, 'scripts', 'lib'),
    libraries,
    node,
    tools,
  }
  try {
    for (const { service, name, kind } of images) {
      log(`Building the ${kind} of ${service}`)
      await output([
        ...['docker', 'build', '--quiet', '--tag', name, '--build-arg', `BASE=${base}`],
        ...['--file', path.join(SOURCES, `${service}.Dockerfile`)],
        ...Object.entries(contexts).flatMap(([context, folder]) => ['--build-context', `${context}=${folder}`]),
        SOURCES,
      ])
    }
  } finally {
    rmSync(node, { recursive: true })
  }
}

/**
 * Returns the base image's name. Builds the image with debootstrap if the engine does not have it (takes about a minute, requires root).
 */
async function buildBase(log: Log): Promise<string> {
  const recipe = createHash('sha256').update(`${RELEASE} ${PACKAGES}`).digest('hex').slice(0, 12)
  const base = `l2-stand-in/base:${RELEASE}-${recipe}`
  if ((await run(['docker', 'image', 'inspect', base])).exitCode === 0) return base
  log(`Building the base image: debootstrap ${RELEASE} with ${PACKAGES}`)
  const folder = mkdtempSync(path.join(tmpdir(), 'l2-base-'))
  try {
    await output(['debootstrap', '--variant=minbase', `--include=${PACKAGES}`, RELEASE, folder])
    const left = ['proc/*', 'sys/*', 'dev/*', 'var/cache/apt', 'var/lib/apt/lists', 'usr/share/doc', 'usr/share/locale']
    const excluded = left.map((pattern) => `--exclude='./${pattern}'`).join(' ')
    await output(['bash', '-c', `set -o pipefail; tar -C '${folder}' ${excluded} -c . | docker import - ${base}`])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return base
}

/** Returns the folder with the jar of Kafka's command-line tools. Downloads it once. */
async function fetchTools(): Promise<string> {
  const folder = path.join(ROOT, '.embedded', 'cache', TOOLS.artifact.split(':').slice(1).join('-'))
  const jar = path.join(folder, 'kafka-tools-3.9.2.jar')
  if (!existsSync(jar)) {
    mkdirSync(folder, { recursive: true })
    await output(['mvn', '-q', '-B', 'dependency:copy', `-Dartifact=${TOOLS.artifact}`, `-DoutputDirectory=${folder}`])
  }
  const found = createHash('sha256').update(readFileSync(jar)).digest('hex')
  if (found !== TOOLS.sha256) throw new Error(`Cannot use "${jar}": found checksum ${found}, expected ${TOOLS.sha256}`)
  return folder
}
