#!/bin/sh
//usr/bin/env true; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Deletes Kafka's declared topics with all their records and makes them anew, with the offsets of their consumer groups cleared.
 * Shows what will be lost and asks first. Run again after an interruption, it finishes.
 */
import { runCommand } from './lib/command/command.mts'
import { withKafkaCause } from './lib/engines/container.mts'
import { resetKafka } from './lib/reset/reset.mts'
import { readSettings } from './lib/settings/settings.mts'

await runCommand({
  name: './scripts/reset-kafka.mts',
  summary: `Deletes Kafka's declared topics with all their records and makes them anew, as kafka/topics.yml says.
Shows what will be lost, asks, clears the consumer groups' offsets of these topics, and proves the result.
Interrupted at any moment, the next run finishes it.`,
  options: {
    yes: { type: 'boolean', help: 'do not ask; needed where there is no terminal' },
    force: { type: 'boolean', help: 'although consumer groups are reading these topics' },
    'dry-run': { type: 'boolean', help: 'show what would be lost and change nothing' },
    only: { type: 'list', value: 'NAME', help: 'only these topics' },
    all: {
      type: 'boolean',
      help: "topics that are not declared, too: they are deleted and not made again; never Kafka's internal ones",
    },
    file: { type: 'string', value: 'PATH', help: 'another declaration than kafka/topics.yml' },
    'cluster-id': {
      type: 'string',
      value: 'ID',
      help: 'the cluster that is meant; needed for brokers not on this machine',
    },
    timeout: {
      type: 'number',
      value: 'SECONDS',
      min: 1,
      max: 3600,
      default: 60,
      help: 'for the broker to answer, and for each step',
    },
  },
  example: './scripts/reset-kafka.mts --only iqfeed.l2.raw --dry-run',
  exitCodes: {
    0: 'the topics are new, empty and as declared; or with --dry-run: could be',
    1: 'declined, refused because groups are reading, or something could not be done',
    2: 'wrong use, mistakes in kafka/topics.yml, or not the cluster that is meant',
    3: 'could not tell: the broker did not answer in time',
  },
  run: async ({ options, log }) =>
    withKafkaCause(
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
    ),
})
