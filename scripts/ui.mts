#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Serves the web page of the stack on 127.0.0.1 until Ctrl-C, and opens it in the browser. If the page is already
 * served, as by the embedded stack, only opens it. Changes nothing.
 */
import { runCommand } from './lib/command/command.mts'

await runCommand({
  name: 'npm run ui --',
  summary: `Shows the stack live in the browser: health, throughput, lag, ingest, rejects, quotes and books. Serves the page on 127.0.0.1
until Ctrl-C; if it is already served, as by the embedded stack, only opens it. Changes nothing.`,
  options: {
    port: {
      ...{ type: 'number', value: 'PORT', min: 1, max: 65_535, whole: true },
      help: 'TCP port (default KAFKA_UI_PORT, or UI_PORT if the stack runs in containers)',
    },
    'no-open': {
      type: 'boolean',
      help: 'print the address only, and open no browser (the default without a terminal)',
    },
  },
  isStream: true,
  example: 'npm run ui -- --no-open',
  exitCodes: {
    0: 'stopped with Ctrl-C, or already served',
    1: 'another program uses the port',
    2: 'invalid usage or settings',
    3: 'the port could not be opened',
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
