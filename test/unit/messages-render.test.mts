import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Paint } from '../../scripts/lib/common/findings.mts'
import type { Message } from '../../scripts/lib/messages/reader.mts'
import { cut, messageJson, printable, renderMessage } from '../../scripts/lib/messages/render.mts'

const plain: Paint = (_, text) => text
const tagged: Paint = (style, text) => `<${style}>${text}</>`
const message = (value: string | Buffer | null, more: Partial<Message> = {}): Message => ({
  topic: 't',
  partition: 3,
  offset: 42,
  timestampMs: Date.UTC(2026, 10, 23, 14, 30),
  key: Buffer.from('AAPL'),
  value: value === null ? null : Buffer.from(value),
  headers: {},
  ...more,
})
const COLUMNS = { partition: 2, offset: 4, width: undefined }

const line = suite('renderMessage')

line('shows time, partition and offset, key and value', () => {
  assert.is(renderMessage(message('{"a":1}'), COLUMNS, plain), '2026-11-23T14:30:00.000Z   3/42    AAPL    {"a":1}')
  const bare = message(null, { key: null, timestampMs: undefined })
  assert.is(renderMessage(bare, COLUMNS, plain), 'no time                    3/42    -       null')
})

line('colours JSON, truncated or not, and nothing else', () => {
  const value = (text: string) => renderMessage(message(text), COLUMNS, tagged).split('  ').at(-1)
  assert.is(
    value('{"a": "x\\"1", "b":[-1.5e3,true,null]}'),
    '{<dim>"a"</>: <green>"x\\"1"</>, <dim>"b"</>:[<yellow>-1.5e3</>,<red>true</>,<red>null</>]}',
  )
  assert.is(value('{"a":"x'), '{<dim>"a"</>:<green>"x</>')
  assert.is(value('12 of 13'), '12 of 13')
})

line('is no wider than the terminal', () => {
  for (const width of [0, 1, 20, 45, 50, 80]) {
    for (const key of ['A', 'A'.repeat(500)]) {
      for (const value of ['x'.repeat(500), '長'.repeat(500), '']) {
        const shown = renderMessage(message(value, { key: Buffer.from(key) }), { ...COLUMNS, width }, plain)
        const columns = [...shown].reduce((sum, character) => sum + (character === '長' ? 2 : 1), 0)
        // Time, partition and offset are always shown.
        assert.ok(columns <= Math.max(width, 43), `${columns} columns on ${width}: ${shown}`)
      }
    }
  }
})

line.run()

const text = suite('printable')

text('escapes terminal controls', () => {
  assert.is(
    printable(Buffer.from('a\u001b[31mb\r\nc\td\u0000\u009b\u202e\u2028e')),
    'a\\u001b[31mb\\r\\nc\\td\\u0000\\u009b\\u202e\\u2028e',
  )
  assert.is(printable(Buffer.from('Zürich 東京 🚀')), 'Zürich 東京 🚀')
})

text('shows bytes that are not text as digits', () => {
  assert.is(printable(Buffer.from([0xff, 0x00, 0x1b])), '0xff001b (3 bytes)')
  assert.is(printable(Buffer.alloc(100, 0xfe)), `0x${'fe'.repeat(64)}… (100 bytes)`)
  assert.is(printable(Buffer.alloc(0)), '')
})

text('is cut by columns', () => {
  assert.is(cut('abcdef', 6), 'abcdef')
  assert.is(cut('abcdef', 5), 'abcd…')
  assert.is(cut('東京都', 5), '東京…')
  assert.is(cut('東京都', 6), '東京都')
  assert.is(cut('🚀🚀', 3), '🚀…')
  assert.is(cut('a', 0), '')
  assert.is(cut('ab', 1), '…')
})

text.run()

const json = suite('messageJson')

json('keeps text unchanged, and encodes bytes as base64', () => {
  const headers = { one: Buffer.from('1'), many: [Buffer.from('a'), null], bytes: Buffer.from([0xff]) }
  assert.equal(JSON.parse(messageJson(message('{"price":1.10000000000000000001}\n', { headers }))), {
    topic: 't',
    partition: 3,
    offset: 42,
    time: '2026-11-23T14:30:00.000Z',
    timestampMs: 1_795_444_200_000,
    key: 'AAPL',
    value: '{"price":1.10000000000000000001}\n',
    headers: { one: '1', many: ['a', null], bytes: { base64: '/w==' } },
  })
  const bare = JSON.parse(messageJson(message(null, { key: Buffer.from([0xff]), timestampMs: undefined })))
  assert.equal([bare.key, bare.value, bare.time, bare.timestampMs], [{ base64: '/w==' }, null, null, null])
})

json('is one line', () => {
  assert.is(messageJson(message('{\n"a": "b"\r\n}')).split(/\r|\n/).length, 1)
})

json.run()
