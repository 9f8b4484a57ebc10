/** Findings about consumer group lag. */
import { error, type Finding, unknown, warning } from '../common/findings.mts'
import { quoted } from '../common/shell-quote.mts'
import type { Lags } from './lag.mts'
import type { LagLimits } from './lag-limits.mts'

const WAIT = './scripts/health-check.mts --only kafka --wait 30'

/**
 * Reports groups that could not be read, lag above the limits, and committed offsets above the end of a partition. In partitions with nothing
 * committed, lag is a warning at most: a consumer that starts at the end and never commits seems to lag by the whole partition.
 */
export function lagFindings({ error: listing, groups }: Lags, { lagWarning, lagCritical }: LagLimits): Finding[] {
  const findings: Finding[] = []
  if (listing !== 'NONE') {
    const found = `Kafka does not list all groups (${listing})`
    findings.push(unknown('KAFKA_GROUPS', 'kafka consumer groups', { found, hint: WAIT }))
  }
  for (const { group, error: failure, lag, uncommitted, ahead } of groups) {
    const subject = `kafka group ${group}`
    const critical = lag - uncommitted > lagCritical
    const limit = critical ? lagCritical : Math.min(lagWarning, lagCritical)
    if (failure !== 'NONE') {
      const found = `Kafka does not report its offsets (${failure})`
      findings.push(unknown('KAFKA_GROUP', subject, { found, hint: WAIT }))
    } else if (lag > limit) {
      const watch = `./scripts/consumer-groups.mts --group ${quoted(group)} --watch`
      const found = `${lag} records behind${uncommitted === 0 ? '' : `, ${uncommitted} of them in partitions with nothing committed, counted from the first record`}`
      const hint =
        uncommitted === 0
          ? `start or add consumers of the group, and watch it: ${watch}`
          : `make sure its consumers commit offsets; those that start at the end (auto.offset.reset=latest) lag less than this: ${watch}`
      const severity = critical ? error : warning
      findings.push(severity('KAFKA_LAG', subject, { found, expected: `at most ${limit}`, hint }))
    }
    if (ahead.size > 0) {
      const topics = [...new Set([...ahead.keys()].map((key) => key.slice(0, key.lastIndexOf('/'))))]
      const most = Math.max(...ahead.values())
      const found = `committed offsets up to ${most} records above the end of ${[...ahead.keys()].join(', ')}: the next fetch fails and falls back to auto.offset.reset`
      const reset = `./scripts/consumer-groups.mts reset --group ${quoted(group)} --topic ${topics.join(' ')} --to latest`
      findings.push(error('KAFKA_GROUP_AHEAD', subject, { found, hint: `stop its consumers, then: ${reset}` }))
    }
  }
  return findings
}
