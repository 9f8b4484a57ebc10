#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Deletes Kafka's declared topics with all their records, recreates them, and deletes the offsets that consumer groups have committed for
 * them. Shows what will be lost and asks first. After an interruption, the next run completes the reset.
 */
import { runCommand } from './lib/command/command.mts'
import { timeoutFlag } from './lib/command/flags.mts'

await runCommand({
  name: './scripts/reset-kafka.mts',
  summary: `Deletes Kafka's declared topics with all their records, and recreates them as declared in kafka/topics.yml.
Shows what will be lost, asks for confirmation, deletes the consumer groups' offsets for these topics, and verifies the result.
If it is interrupted, the next run completes the reset.`,
  options: {
    yes: { type: 'boolean', help: 'do not ask for confirmation; required without a terminal' },
    force: { type: 'boolean', help: 'proceed even if consumer groups are reading these topics' },
    'dry-run': { type: 'boolean', help: 'show what would be lost and change nothing' },
    only: { type: 'list', value: 'NAME', help: 'only these topics' },
    all: {
      type: 'boolean',
      help: "also permanently delete undeclared topics; never Kafka's internal ones",
    },
    file: { type: 'string', value: 'PATH', help: 'read this file instead of kafka/topics.yml' },
    'cluster-id': {
      type: 'string',
      value: 'ID',
      help: 'the cluster to reset; required for brokers on other machines',
    },
    timeout: timeoutFlag(60, 'how long to wait for the broker, and for each step', 3600),
  },
  example: './scripts/reset-kafka.mts --only iqfeed.l2.raw --dry-run',
  exitCodes: {
    0: 'the topics are new, empty and as declared; with --dry-run: they can be reset',
    1: 'declined, refused because consumer groups are reading, or a step failed',
    2: 'invalid usage or settings, mistakes in kafka/topics.yml, or a different cluster',
    3: 'could not be determined: the broker did not answer in time',
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
