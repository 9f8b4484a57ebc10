#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/../../scripts/lib/run" "$f" "$@"
/**
 * `npm run pictures`: regenerates the terminal pictures from the output of the commands on a temporary stack. Uses the
 * default ports, which must be free. `PICTURES=yes npm test -- ui-page` regenerates the screenshots of the page.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parseEnvFile } from '../../scripts/lib/settings/env-file.mts'
import { HOST_PORTS, ROOT } from '../../scripts/lib/settings/settings.mts'
import { stackEnv } from '../../test/support/stack.mts'
import { takePictures } from './pictures.mts'

const template = parseEnvFile(readFileSync(path.join(ROOT, '.env.template'), 'utf8'), '.env.template')
const defaults = template.filter(({ name }) => name === 'EMBEDDED_UI' || HOST_PORTS.some((port) => port === name))
const env = await stackEnv(Object.fromEntries(defaults.map(({ name, text }) => [name, text])))
for (const [name, svg] of Object.entries(await takePictures(env))) {
  writeFileSync(path.join(ROOT, 'docs/pictures', name), svg)
  process.stdout.write(`docs/pictures/${name}\n`)
}
