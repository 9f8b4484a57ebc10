// Loaded before a command, in words that any Node.js reads: an older one would end in a syntax error of the command's own.
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 12)) {
  const command = require('path').basename(process.argv[2] || 'the command')
  process.stderr.write(
    'Cannot run ' + command + ': found Node.js ' + process.versions.node + ', expected 20.12 or newer (https://nodejs.org)\n',
  )
  process.exit(3)
}
