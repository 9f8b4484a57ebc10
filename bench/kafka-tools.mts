/** Runs Kafka's command-line tools directly, without their shell scripts, which makes them faster. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'
import { install } from '../scripts/lib/engines/embedded/install.mts'
import { ROOT } from '../scripts/lib/settings/settings.mts'
import type { Outcome } from '../test/support/command.mts'
import { runGood } from './measure.mts'

const TOOLS = path.join(ROOT, '.embedded', 'cache', 'kafka-tools')
/** The JVM options that bin/kafka-run-class.sh of Kafka 3.9 passes to a tool. */
const JVM_OPTIONS = [
  '-Xmx256M',
  '-server',
  '-XX:+UseG1GC',
  '-XX:MaxGCPauseMillis=20',
  '-XX:InitiatingHeapOccupancyPercent=35',
  '-XX:+ExplicitGCInvokesConcurrent',
  '-XX:MaxInlineLevel=15',
  '-Djava.awt.headless=true',
]

/** Returns a function that runs a main class below `org.apache.kafka.tools`. Maven downloads the tools once. */
export async function openKafkaTools(
  log: (line: string) => void,
): Promise<(mainClass: string, args: string[]) => Promise<Outcome>> {
  const { java, jars } = await install('zookeeper', log)
  const classPath = [...jars, await downloadTools(log)].join(':')
  return (mainClass, args) =>
    runGood(java, [...JVM_OPTIONS, '-cp', classPath, `org.apache.kafka.tools.${mainClass}`, ...args])
}

/** Returns the path of the jar with the tools, and downloads it if missing. */
async function downloadTools(log: (line: string) => void): Promise<string> {
  if (!existsSync(TOOLS)) {
    log("Downloading Kafka's tools")
    const target = `${TOOLS}.${process.pid}.tmp`
    mkdirSync(target, { recursive: true })
    try {
      const pom = path.join(ROOT, 'bench', 'pom.xml')
      await runGood('mvn', ['-q', '-B', '-f', pom, 'dependency:copy-dependencies', `-DoutputDirectory=${target}`])
      renameSync(target, TOOLS)
    } finally {
      rmSync(target, { recursive: true, force: true })
    }
  }
  return path.join(TOOLS, readdirSync(TOOLS)[0] ?? '')
}
