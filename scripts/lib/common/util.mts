import { createRequire } from 'node:module'

/**
 * The parts of `node:util` that we use. An ES import would read every export and so load text decoders and a diff that no command needs:
 * 5 of the 12 ms that `--help` takes on top of Node.js 24 itself.
 */
export const { parseArgs, stripVTControlCharacters } = createRequire(import.meta.url)(
  'node:util',
) as typeof import('node:util')
