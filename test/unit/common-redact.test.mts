import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { error } from '../../scripts/lib/common/findings.mts'
import { redact, registerSecret } from '../../scripts/lib/common/redact.mts'

const SECRET = 'p"ä/ss wörd+1'
registerSecret(SECRET)
registerSecret('')
registerSecret('abc')

const base64 = (text: string) => Buffer.from(text).toString('base64')

const redacting = suite('redact')

for (const [form, text] of Object.entries({
  plain: SECRET,
  'URL-encoded': encodeURIComponent(SECRET),
  'in JSON': JSON.stringify({ password: SECRET }),
  base64: base64(SECRET),
  'base64 after one byte': base64(`u${SECRET}`),
  'base64 after two bytes': base64(`u:${SECRET}`),
  'base64 between others': base64(`user:${SECRET}@host`),
})) {
  redacting(`removes a secret, ${form}`, () => {
    const left = redact(`before ${text} after`)
    assert.match(left, /^before .*\[secret\].* after$/)
    for (const part of [
      SECRET,
      encodeURIComponent(SECRET),
      JSON.stringify(SECRET).slice(1, -1),
      base64(SECRET).slice(4, -4),
    ])
      assert.not.ok(left.includes(part), left)
  })
}

redacting('leaves other text unchanged', () => {
  assert.is(redact('abc of port 6380, p"ä'), 'abc of port 6380, p"ä')
})

redacting('applies to findings', () => {
  const { found } = error('CODE', 'redis', { found: `ERR unknown command '${SECRET}'`, hint: 'npm start' })
  assert.is(found, "ERR unknown command '[secret]'")
})

redacting.run()
