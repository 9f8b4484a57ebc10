/** The confirmation of a destructive command, on a terminal with an interactive shell. */
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { projectFolder } from '../support/project.mts'
import { typeOnTerminal } from '../support/terminal.mts'

const LIB = path.join(ROOT, 'scripts/lib')
const folder = projectFolder({
  'ask.mts': `import { confirmWord } from '${LIB}/command/confirm.mts'
process.exitCode = (await confirmWord('Destroy? ', 'yes')) ? 7 : 8
`,
})
const ask = `${LIB}/run ${folder}/ask.mts`
const env = { ...process.env, HISTFILE: '' }
const PROMPT = /[#$] $/

const asking = suite('confirmWord')

for (const [what, command] of Object.entries({
  alone: ask,
  'behind a parent such as npm': `sh -c "${ask}; exit \\$?"`,
})) {
  for (const [keys, code] of [
    ['yes\r', 7],
    ['\x03', 8],
  ] as const) {
    asking(`accepts ${JSON.stringify(keys)} after Ctrl-Z and fg, ${what}`, async () => {
      const { screen } = await typeOnTerminal(['bash', '--norc', '--noprofile', '-i'], env, [
        { question: PROMPT, keys: `${command}\r` },
        { question: /Destroy\? /, keys: '\x1a' },
        { question: /Stopped[\s\S]*[#$] $/, keys: 'fg\r' },
        { question: /Destroy\? /, keys },
        { question: PROMPT, keys: 'echo "code $?"\r' },
        { question: /code \d+\s[\s\S]*[#$] $/, keys: 'exit\r' },
      ])
      assert.match(screen, new RegExp(`code ${code}\\b`))
    })
  }
}

asking.run()
