#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Makes Kafka's topics match kafka/topics.yml: plans the changes, applies them and verifies the result. It creates topics, adds partitions
 * and sets configuration keys. It never deletes or shrinks a topic, and does not touch topics and keys that the file does not name.
 * With --rebalance it also reassigns replicas. It warns before a shorter retention or a different cleanup.policy makes the broker
 * delete records.
 */
import { runCommand } from './lib/command/command.mts'
import { refuseTogether, timeoutFlag, usage } from './lib/command/flags.mts'
import { configError } from './lib/common/findings.mts'

const NAME = './scripts/create-topics.mts'

await runCommand({
  name: NAME,
  summary: `Makes Kafka's topics match kafka/topics.yml, and verifies the result.
Creates topics, adds partitions and sets configuration; never deletes or shrinks a topic, and leaves undeclared topics alone.
A shorter retention or a different cleanup.policy makes the broker delete records; preview that with --dry-run.`,
  options: {
    'dry-run': { type: 'boolean', help: 'show the plan and change nothing; exit 1 when something would change' },
    // Like --dry-run, but reports every difference as a finding; kept for the CI scripts that call it.
    check: { type: 'boolean', hidden: true, help: 'report every difference as a finding and change nothing' },
    export: {
      type: 'boolean',
      help: "print the cluster's current topics in the format of kafka/topics.yml and change nothing; redirect it to a file to keep it",
    },
    yes: { type: 'boolean', help: 'do not ask before changing a cluster that is not on this machine' },
    only: { type: 'list', value: 'NAME', help: 'only these topics' },
    rebalance: {
      type: 'boolean',
      help: 'also reassign replicas: match the declared replication, balance racks and brokers, restore preferred leaders',
    },
    'throttle-mb': {
      ...{ type: 'number', value: 'N', min: 0.001, max: 1e6 },
      help: 'with --rebalance: limit replication traffic to N MiB/s per broker, inbound and outbound',
    },
    file: { type: 'string', value: 'PATH', help: 'read this file instead of kafka/topics.yml' },
    timeout: timeoutFlag(60, 'how long to wait for the broker and the changes; with --rebalance: for progress', 3600),
  },
  example: './scripts/create-topics.mts --dry-run --only iqfeed.l2.raw',
  exitCodes: {
    0: 'the topics are as declared',
    1: 'a change failed; with --dry-run: something would change',
    2: 'invalid usage or settings, or mistakes in the file, reported with line and column',
    3: 'could not be determined: the broker did not answer in time',
  },
  run: async ({ options, log, paint }) => {
    const { check, 'dry-run': dryRun, file, only, rebalance, timeout, 'throttle-mb': throttleMb, yes } = options
    for (const other of [{ '--dry-run': dryRun }, { '--rebalance': rebalance }])
      refuseTogether({ '--check': check, ...other, '--export': options.export }, `${NAME} --help`)
    if (throttleMb !== undefined && !rebalance) throw configError([usage(NAME, '--throttle-mb', 'without --rebalance')])
    refuseTogether({ '--export': options.export, '--file': file !== undefined }, `${NAME} --export`)
    const { DECLINED, mayChange } = await import('./lib/command/target.mts')
    const { withKafkaCause } = await import('./lib/engines/container.mts')
    const { readSettings } = await import('./lib/settings/settings.mts')
    if (options.export) {
      const { exportTopics } = await import('./lib/topics/export.mts')
      const exporting = exportTopics(readSettings(), { only, timeoutMs: timeout * 1000, log })
      const exported = await withKafkaCause(exporting, timeout * 1000)
      return { findings: [], text: exported.yaml.trimEnd(), data: { ...exported } }
    }
    const { renderSynced, wouldChange } = await import('./lib/topics/report.mts')
    const { syncTopics } = await import('./lib/topics/topics.mts')
    const settings = readSettings()
    const mode = check ? 'check' : dryRun ? 'plan' : 'apply'
    if (mode === 'apply' && !(await mayChange(settings, ['kafka'], { yes, command: NAME, log }))) return DECLINED
    const startMs = performance.now()
    const moves = rebalance ? { bytesPerSecond: throttleMb && Math.ceil(throttleMb * 1024 ** 2) } : undefined
    const chosen = { file, only, mode, timeoutMs: timeout * 1000, log, rebalance: moves } as const
    const { findings, ...synced } = await withKafkaCause(syncTopics(settings, chosen), timeout * 1000)
    return {
      findings,
      text: renderSynced(synced, mode, (performance.now() - startMs) / 1000, paint),
      data: { ...synced, mode: mode === 'plan' ? 'dry-run' : mode },
      ...(dryRun && wouldChange(synced) ? { exitCode: 1 as const } : {}),
    }
  },
})
