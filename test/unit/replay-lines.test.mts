import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { linesOf, MAX_CHARS, objectsOf, type RawEntry } from '../../scripts/lib/replay/lines.mts'

/** Returns all items of a text that arrives in chunks of `size`. */
async function read(of: typeof linesOf | typeof objectsOf, text: string, size = text.length): Promise<RawEntry[]> {
  async function* chunks() {
    for (let at = 0; at < text.length; at += size) yield text.slice(at, at + size)
  }
  const pieces: RawEntry[] = []
  for await (const batch of of(chunks())) pieces.push(...batch)
  return pieces
}

const SIZES = [1, 2, 3, 7, 1000]
const lines = suite('linesOf')

lines('returns lines with their numbers, however they are chunked; skips blank ones', async () => {
  for (const size of SIZES)
    assert.equal(await read(linesOf, 'a,b\n\n  \nc\r\n€', size), [
      { line: 1, text: 'a,b' },
      { line: 4, text: 'c\r' },
      { line: 5, text: '€' },
    ])
  assert.equal(await read(linesOf, 'a\n'), [{ line: 1, text: 'a' }])
  assert.equal(await read(linesOf, ''), [])
})

lines('a line beyond the bound has no text, the lines around it do', async () => {
  const long = 'x'.repeat(MAX_CHARS + 1)
  assert.equal(await read(linesOf, `a\n${long}\nb\n${long}`, 1_000_000), [
    { line: 1, text: 'a' },
    { line: 2, text: undefined },
    { line: 3, text: 'b' },
    { line: 4, text: undefined },
  ])
})
lines.run()

const objects = suite('objectsOf')

objects('returns one object a line, and reports invalid lines by number', async () => {
  for (const size of SIZES)
    assert.equal(await read(objectsOf, '\n{"a":1}\n{"b":\n{"c":3}', size), [
      { line: 2, text: '{"a":1}' },
      { line: 3, text: '{"b":' },
      { line: 4, text: '{"c":3}' },
    ])
})

objects('returns the elements of a list, on one line or several', async () => {
  const text = ' [{"a":[1,{"b":"]}\\""}]},\n\n{"c":\n2}, 7,"x, y"\n]\n[{"d":4}]'
  for (const size of SIZES)
    assert.equal(await read(objectsOf, text, size), [
      { line: 1, text: '{"a":[1,{"b":"]}\\""}]}' },
      { line: 3, text: '{"c":\n2}' },
      { line: 4, text: '7' },
      { line: 4, text: '"x, y"' },
      { line: 6, text: '{"d":4}' },
    ])
  assert.equal(await read(objectsOf, '[]'), [])
  assert.equal(await read(objectsOf, '[{"a":1},{"b"'), [
    { line: 1, text: '{"a":1}' },
    { line: 1, text: '{"b"' },
  ])
})

objects('returns indented objects, one after the other', async () => {
  for (const size of SIZES)
    assert.equal(await read(objectsOf, '{\r\n  "a": 1\n}\n{\n  "b": "}"\n}\n', size), [
      { line: 1, text: '{\r\n  "a": 1\n}' },
      { line: 4, text: '{\n  "b": "}"\n}' },
    ])
})

objects('an element beyond the bound has no text, the elements around it do', async () => {
  const text = `[{"a":1},{"b":"${'x'.repeat(MAX_CHARS)}"},{"c":3}]`
  assert.equal(await read(objectsOf, text, 1_000_000), [
    { line: 1, text: '{"a":1}' },
    { line: 1, text: undefined },
    { line: 1, text: '{"c":3}' },
  ])
})
objects.run()
