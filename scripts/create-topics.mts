#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Makes Kafka's topics match kafka/topics.yml: plans, applies, reads back. It creates topics, adds partitions and sets
 * configuration keys; it never deletes, never shrinks, and leaves alone what the file does not name.
 * It warns of a shorter retention or another cleanup.policy, which make the broker delete records.
 */
import { refuseTogether, runCommand } from './lib/command/command.mts'

await runCommand({
  name: './scripts/create-topics.mts',
  summary: `Makes Kafka's topics match kafka/topics.yml, and checks the result.
Creates topics, adds partitions and sets configuration; never deletes or shrinks a topic, and leaves alone what is not declared.
A shorter retention or another cleanup.policy makes the broker delete records: --dry-run shows it first.`,
  options: {
    'dry-run': { type: 'boolean', help: 'show the plan and change nothing; exit 1 when something would change' },
    // --dry-run with every difference as a finding, kept for the CI scripts that call it.
    check: { type: 'boolean', hidden: true, help: 'report every difference as a finding and change nothing' },
    only: { type: 'list', value: 'NAME', help: 'only these declared topics' },
    file: { type: 'string', value: 'PATH', help: 'read this file instead of kafka/topics.yml' },
    timeout: {
      type: 'number',
      value: 'SECONDS',
      min: 1,
      max: 3600,
      default: 60,
      help: 'how long to wait for the broker, and for the changes to take effect',
    },
  },
  example: './scripts/create-topics.mts --dry-run --only iqfeed.l2.raw',
  exitCodes: {
    0: 'the topics are as declared',
    1: 'something could not be changed; with --dry-run: something would change',
    2: 'wrong use, or mistakes in the file, each with line and column',
    3: 'could not tell: the broker did not answer in time',
  },
  run: async ({ options, log, paint }) => {
    const { check, 'dry-run': dryRun, file, only, timeout } = options
    refuseTogether({ '--check': check, '--dry-run': dryRun }, './scripts/create-topics.mts --check')
    const { withKafkaCause } = await import('./lib/engines/container.mts')
    const { readSettings } = await import('./lib/settings/settings.mts')
    const { changeCount } = await import('./lib/topics/plan.mts')
    const { renderPlan } = await import('./lib/topics/report.mts')
    const { syncTopics } = await import('./lib/topics/topics.mts')
    const started = performance.now()
    const synced = await withKafkaCause(
      syncTopics(readSettings(), {
        ...(file === undefined ? {} : { file }),
        only,
        mode: check ? 'check' : dryRun ? 'plan' : 'apply',
        timeoutMs: timeout * 1000,
        log,
      }),
      timeout * 1000,
    )
    const { clusterId, brokers, plan, done, findings } = synced
    const changes = changeCount(plan)
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    const text = [`Cluster ${clusterId}, brokers: ${brokers}`]
    if (!check) text.push(renderPlan(plan, paint))
    if (changes === 0) text.push(plan.impossible.length > 0 ? 'Nothing that can be changed' : 'Nothing to do')
    else if (check) text.push(`Topics that differ: ${changes}`)
    else if (dryRun) text.push(`Topics that would change: ${changes}`)
    else text.push(`Changed in ${seconds} s: ${done.length} of ${changes}`, ...done.map((line) => `  ${line}`))
    return {
      findings,
      text: text.filter(Boolean).join('\n'),
      data: { clusterId, brokers, mode: check ? 'check' : dryRun ? 'dry-run' : 'apply', plan, done },
      ...(dryRun && changes > 0 ? { exitCode: 1 as const } : {}),
    }
  },
})
