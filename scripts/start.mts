#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Starts the stack: docker-compose.yml if Docker is available, otherwise the same services as plain processes. Creates missing tables and
 * topics, applies changes that lose no data, checks health and prints the addresses.
 */
import { runCommand } from './lib/command/command.mts'
import { refuseTogether } from './lib/command/flags.mts'

await runCommand({
  name: 'npm start --',
  summary:
    'Starts the stack and waits until it is healthy: docker-compose.yml if Docker with Compose v2 is available, otherwise the same\n' +
    'services without containers (the embedded stack). Creates missing tables and topics, and applies changes that lose no data.',
  options: {
    docker: { type: 'boolean', help: 'use Docker; fail if it is not available' },
    embedded: { type: 'boolean', help: 'use the embedded stack even if Docker is available' },
  },
  example: 'npm start -- --embedded',
  exitCodes: {
    0: 'the stack is up and healthy',
    1: 'a port is taken, or a service did not start or is unhealthy',
    2: 'invalid usage or settings',
    3: 'could not be determined: Java, Maven or Docker is missing, or a download failed',
  },
  run: async ({ options, log, paint }) => {
    refuseTogether({ '--docker': options.docker, '--embedded': options.embedded }, 'npm start -- --help')
    const { readSettings } = await import('./lib/settings/settings.mts')
    const { renderStarted, startStack } = await import('./lib/start.mts')
    const settings = readSettings()
    const choice = options.docker ? 'docker' : options.embedded ? 'embedded' : undefined
    const started = await startStack(settings, choice, log)
    const { mode, wasRunning, tookMs, health, findings } = started
    const services = health.services.map(({ findings: _, ...service }) => service)
    return { findings, text: renderStarted(settings, started, paint), data: { mode, wasRunning, tookMs, services } }
  },
})
