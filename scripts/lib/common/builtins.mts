/** Node.js modules that an ES import would load slowly, because it reads every export. */
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)

/**
 * The parts of `node:util` that we use. Its other exports load text decoders and a diff that no command needs: 5 of the 12 ms that `--help`
 * takes on top of Node.js 24 itself.
 */
export const { parseArgs, stripVTControlCharacters } = require('node:util') as typeof import('node:util')

/** Returns the module node:http. Its exports load undici, which takes 15 ms on Node.js 24. */
export const http = () => require('node:http') as typeof import('node:http')

/** Returns the module node:https, which loads TLS and node:http. */
export const https = () => require('node:https') as typeof import('node:https')
