import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)

/** The module node:http. An ES import reads every export, and so loads undici: 15 ms on Node.js 24. */
export const http = require('node:http') as typeof import('node:http')

/** Returns the module node:https, which loads TLS. */
export const https = () => require('node:https') as typeof import('node:https')
