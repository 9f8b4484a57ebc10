/** Text from files, compressed or not, and from pipes. */
import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { OpsError } from '../../scripts/lib/common/findings.mts'
import { openSource } from '../../scripts/lib/replay/source.mts'

const folder = mkdtempSync(path.join(tmpdir(), 'l2-replay-'))
const fileOf = (name: string, content: string | Buffer): string => {
  const file = path.join(folder, name)
  writeFileSync(file, content)
  return file
}

async function textOf(file: string): Promise<string> {
  const source = openSource(file)
  let all = ''
  for await (const piece of source.text) all += piece
  return all
}

/** Returns a zstd frame with uncompressed content, in blocks of at most 128 kB. @see RFC 8878, 3.1.1 */
function zstdOf(content: Buffer): Buffer<ArrayBuffer> {
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(content.length))
  const parts: Buffer[] = [Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xe0]), size]
  for (let at = 0; at < content.length; at += 131_072) {
    const block = content.subarray(at, at + 131_072)
    const head = Buffer.alloc(3)
    head.writeUIntLE(block.length * 8 + (at + 131_072 >= content.length ? 1 : 0), 0, 3)
    parts.push(head, block)
  }
  return Buffer.concat(parts)
}

const source = suite('openSource')

source('reads files, gzip and zstd, by content and not by name, without a byte order mark', async () => {
  const text = `\uFEFF${'é€😀'.repeat(1000)}\n${randomBytes(2_000_000).toString('hex')}\n`
  const bytes = Buffer.from(text)
  for (const [name, content] of [
    ['plain', bytes],
    ['gzip', gzipSync(bytes)],
    ['members', Buffer.concat([gzipSync(bytes.subarray(0, 99)), gzipSync(bytes.subarray(99))])],
    ['zstd', zstdOf(bytes)],
    ['frames', Buffer.concat([zstdOf(bytes.subarray(0, 99)), zstdOf(bytes.subarray(99))])],
  ] as const)
    assert.ok((await textOf(fileOf(name, content))) === text.slice(1), name)
  assert.is(await textOf(fileOf('empty', '')), '')
  assert.is(await textOf(fileOf('short', '{}')), '{}')
})

source('reads a named pipe, and reports how much of a file is read', async () => {
  const pipe = path.join(folder, 'pipe')
  execFileSync('mkfifo', [pipe])
  spawn('sh', ['-c', 'printf "a\\nb" > "$0"', pipe])
  assert.is(await textOf(pipe), 'a\nb')
  const file = openSource(fileOf('read', 'a\nb'))
  assert.is(file.fraction(), 0)
  for await (const _ of file.text);
  assert.is(file.fraction(), 1)
})

source('reports a file that is truncated or broken', async () => {
  const content = Buffer.from(randomBytes(100_000).toString('hex'))
  const broken = gzipSync(content)
  broken[50_000] = (broken[50_000] as number) ^ 255
  for (const [name, bytes] of [
    ['cut.gz', gzipSync(content).subarray(0, 50_000)],
    ['broken.gz', broken],
    ['cut.zst', zstdOf(content).subarray(0, 50_000)],
  ] as const)
    try {
      await textOf(fileOf(name, bytes))
      assert.unreachable(name)
    } catch (error) {
      assert.instance(error, OpsError)
      assert.is((error as OpsError).findings[0]?.code, 'REPLAY_FILE')
    }
})

source.after(() => rmSync(folder, { recursive: true }))
source.run()
