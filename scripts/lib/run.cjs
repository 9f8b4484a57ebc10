// Runs a TypeScript file: `run.cjs SCRIPT ARG…`. Refuses versions of Node.js that are too old, so even those must be able to parse this file.
// Node.js 22.18 and newer run TypeScript natively; older versions use jiti. Both cache compiled code in node_modules, or not at all if that
// is read-only: never in the system's temporary folder, where any user of the machine could plant code.
'use strict'
const path = require('path')
process.argv.splice(1, 1)
const script = (process.argv[1] = path.resolve(process.argv[1]))
const [major, minor] = process.versions.node.split('.').map(Number)
const isAtLeast = (wantedMajor, wantedMinor) => major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)

const refuse = (why) => {
  process.stderr.write('Cannot run ' + path.basename(script) + ': ' + why + '\n')
  process.exit(3)
}

if (!isAtLeast(20, 12)) refuse('found Node.js ' + process.versions.node + ', expected 20.12 or newer (https://nodejs.org)')
try {
  process.cwd()
} catch (error) {
  refuse('the working directory no longer exists')
}
const root = path.join(__dirname, '../..')
if (root.includes('\\')) refuse('its path contains a backslash, so Node.js cannot load packages from it: ' + root)
const cache = (name) => path.join(root, 'node_modules', '.cache', name)
const load = isAtLeast(22, 18) ? native : transpiled

// Node.js ends when nothing can happen any more, with exit code 0 even if the script still waits for something.
let ended = false
process.on('exit', (code) => {
  if (ended || code !== 0) return
  process.stderr.write('Cannot finish ' + path.basename(script) + ': it waits for something that never happens; this is a bug, please report it\n')
  process.exitCode = 3
})
load().then(
  () => {
    ended = true
  },
  (error) => {
    console.error(error)
    process.exit(3)
  },
)

function native() {
  require('module').enableCompileCache(cache('node'))
  return import(require('url').pathToFileURL(script).href)
}

function transpiled() {
  return require('jiti').createJiti(root, { fsCache: cache('jiti') }).import(script)
}
