#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Serves the web page of the stack on 127.0.0.1 until Ctrl-C, and opens it in the browser. Where the page is served already, as by the embedded
 * stack, only opens it. Changes nothing.
 */
import { runCommand } from './lib/command/command.mts'

await runCommand({
  name: 'npm run ui --',
  summary: `Shows the stack in the browser: health, throughput, lag, ingest, rejects, quotes and books, as they change. Serves the page on
127.0.0.1 until Ctrl-C; where it is served already, as by the embedded stack, only opens it. Changes nothing.`,
  options: {
    port: {
      ...{ type: 'number', value: 'PORT', min: 1, max: 65_535, whole: true },
      help: 'TCP port (default KAFKA_UI_PORT; beside containers, where Kafka UI has that, UI_PORT)',
    },
    'no-open': { type: 'boolean', help: 'only print the address; without a terminal none is opened anyway' },
  },
  isStream: true,
  example: 'npm run ui -- --no-open',
  exitCodes: {
    0: 'ended by Ctrl-C, or served already',
    1: 'the port is taken by another program',
    2: 'wrong use or settings',
    3: 'could not tell: the port could not be opened',
  },
  run: async ({ options, json, log }) => {
    const { readSettings } = await import('./lib/settings/settings.mts')
    const { runUi } = await import('./lib/ui/run.mts')
    const settings = readSettings()
    const print = (url: string) => process.stdout.write(json ? `${JSON.stringify({ url })}\n` : `${url}\n`)
    const isOpening = !options['no-open'] && !json && process.stdout.isTTY === true
    return { findings: [], data: { ...(await runUi(settings, { port: options.port, isOpening, print, log })) } }
  },
})
