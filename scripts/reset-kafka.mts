#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Deletes Kafka's declared topics with all their records, creates them again, and clears the offsets of their consumer groups.
 * Shows what will be lost and asks first. Run again after an interruption, it finishes.
 */
import { runCommand } from './lib/command/command.mts'
import { timeoutFlag } from './lib/command/flags.mts'

await runCommand({
  name: './scripts/reset-kafka.mts',
  summary: `Deletes Kafka's declared topics with all their records, and creates them again as kafka/topics.yml says.
Shows what will be lost, asks, clears the consumer groups' offsets of these topics, and checks the result.
If it is interrupted, the next run finishes it.`,
  options: {
    yes: { type: 'boolean', help: 'do not ask; needed where there is no terminal' },
    force: { type: 'boolean', help: 'proceed even if consumer groups are reading these topics' },
    'dry-run': { type: 'boolean', help: 'show what would be lost and change nothing' },
    only: { type: 'list', value: 'NAME', help: 'only these topics' },
    all: {
      type: 'boolean',
      help: "also delete topics that are not declared, for good; never Kafka's internal ones",
    },
    file: { type: 'string', value: 'PATH', help: 'read this file instead of kafka/topics.yml' },
    'cluster-id': {
      type: 'string',
      value: 'ID',
      help: 'the cluster to reset; needed for brokers on other machines',
    },
    timeout: timeoutFlag(60, 'how long to wait for the broker, and for each step', 3600),
  },
  example: './scripts/reset-kafka.mts --only iqfeed.l2.raw --dry-run',
  exitCodes: {
    0: 'the topics are new, empty and as declared; with --dry-run: they could be reset',
    1: 'declined, refused because groups are reading, or something could not be done',
    2: 'wrong use, mistakes in kafka/topics.yml, or another cluster',
    3: 'could not tell: the broker did not answer in time',
  },
  run: async ({ options, log }) => {
    const { withKafkaCause } = await import('./lib/engines/container.mts')
    const { resetKafka } = await import('./lib/reset/reset.mts')
    const { readSettings } = await import('./lib/settings/settings.mts')
    const { findings, text, survey, declined } = await withKafkaCause(
      resetKafka(readSettings(), {
        yes: options.yes,
        force: options.force,
        dryRun: options['dry-run'],
        only: options.only,
        all: options.all,
        ...(options.file === undefined ? {} : { file: options.file }),
        ...(options['cluster-id'] === undefined ? {} : { clusterId: options['cluster-id'] }),
        timeoutMs: options.timeout * 1000,
        log,
      }),
      options.timeout * 1000,
    )
    const report = { findings, ...(text === undefined ? {} : { text }) }
    return declined ? { ...report, data: { survey, declined }, exitCode: 1 } : { ...report, data: { survey } }
  },
})
