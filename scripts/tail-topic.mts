#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Shows messages of a topic: the last ones, those from a position on, or new ones as they arrive. Changes nothing and joins no consumer group:
 * it fetches from the partition leaders and commits nothing.
 */
import { runCommand } from './lib/command/command.mts'
import { NAME, OPTIONS, tailRequest } from './lib/messages/options.mts'

await runCommand({
  name: NAME,
  summary: `Shows messages of a topic, one per line: time, partition and offset, key, value. Changes nothing and joins no consumer group.
Reads all compression codecs, and messages of open and aborted transactions too. Control characters are escaped.`,
  arguments: { value: 'TOPIC', help: 'the topic' },
  options: OPTIONS,
  isStream: true,
  example: `${NAME} iqfeed.trades.raw --follow --where symbol=AAPL`,
  exitCodes: {
    0: 'messages shown, or none found; with --follow: stopped by Ctrl-C',
    1: 'stopped by Ctrl-C before the end, the topic was deleted, or a message cannot be decoded',
    2: 'invalid usage or settings, or no such topic or partition',
    3: 'could not be determined: the broker or a partition leader did not answer in time; once following, it keeps waiting',
  },
  run: async ({ options, args, json, log, paint }) => {
    const request = tailRequest(options, args, Date.now())
    const { withKafkaCause } = await import('./lib/engines/container.mts')
    const { openOutput } = await import('./lib/messages/output.mts')
    const { tailTopic } = await import('./lib/messages/tail.mts')
    const { readSettings } = await import('./lib/settings/settings.mts')
    const output = openOutput(process.stdout, { json, paint })
    try {
      const tailing = tailTopic(readSettings(), { ...request, log }, output)
      const { findings, messages } = await withKafkaCause(tailing, request.timeoutMs)
      const report = { findings, data: { topic: request.topic, messages } }
      return output.interrupted() && !request.follow ? { ...report, exitCode: 1 } : report
    } finally {
      output.close()
    }
  },
})
