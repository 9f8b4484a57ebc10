/**
 * Splits a Parquet file into one file per row group. ClickHouse loads a Parquet file received over HTTP into memory and needs twice its size,
 * which is too much for a day of a large table.
 * @see https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
 */
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { type List, readStruct, type Struct, writeStruct } from './thrift.mts'

const MAGIC = Buffer.from('PAR1')
/** Bytes after the footer: its length, and the magic number. */
const TAIL_BYTES = 8
/** Thrift types. */
const [LIST, STRUCT] = [9, 12]
/** Field numbers of FileMetaData, RowGroup, ColumnChunk and ColumnMetaData. */
const [FILE_ROWS, GROUPS] = [3, 4]
const [COLUMNS, GROUP_ROWS, GROUP_OFFSET] = [1, 3, 5]
const [CHUNK_OFFSET, META] = [2, 3]
/** Fields that refer to page indexes and Bloom filters, which are stored outside the row groups and left out. */
const [OUTSIDE_CHUNK, OUTSIDE_META] = [
  [4, 5, 6, 7],
  [14, 15],
]
const [COMPRESSED_BYTES, DATA_PAGE, INDEX_PAGE, DICTIONARY_PAGE] = [7, 9, 10, 11]

interface RowGroup {
  rows: number
  /** Returns a Parquet file that contains only this row group. */
  body: () => Readable
}

/** @throws {SyntaxError} if the file is not a valid Parquet file */
export async function readRowGroups(file: string): Promise<RowGroup[]> {
  const footer = await readFooter(file)
  return structs(footer, GROUPS).map((group) => rowGroup(file, footer, group))
}

async function readFooter(file: string): Promise<Struct> {
  const handle = await open(file)
  try {
    const { size } = await handle.stat()
    const tail = Buffer.alloc(TAIL_BYTES)
    await handle.read(tail, 0, TAIL_BYTES, Math.max(0, size - TAIL_BYTES))
    const length = tail.readUInt32LE()
    if (!tail.subarray(4).equals(MAGIC) || length > size - TAIL_BYTES) throw new SyntaxError('not a Parquet file')
    const bytes = Buffer.alloc(length)
    await handle.read(bytes, 0, length, size - TAIL_BYTES - length)
    return readStruct(bytes)
  } finally {
    await handle.close()
  }
}

function rowGroup(file: string, footer: Struct, group: Struct): RowGroup {
  const chunks = structs(group, COLUMNS)
  const ranges = chunks.map((chunk) => {
    const meta = chunk.get(META)?.value as Struct
    const start = number(meta, DICTIONARY_PAGE) || number(meta, DATA_PAGE)
    return { start, end: start + number(meta, COMPRESSED_BYTES) }
  })
  const start = Math.min(...ranges.map((range) => range.start))
  const end = Math.max(...ranges.map((range) => range.end))
  const shift = BigInt(MAGIC.length - start)
  const columns = chunks.map((chunk) => {
    const meta = shifted(
      chunk.get(META)?.value as Struct,
      shift,
      [DATA_PAGE, INDEX_PAGE, DICTIONARY_PAGE],
      OUTSIDE_META,
    )
    const column = shifted(chunk, shift, [CHUNK_OFFSET], OUTSIDE_CHUNK)
    return column.set(META, { type: chunk.get(META)?.type as number, value: meta })
  })
  const only = shifted(group, shift, [GROUP_OFFSET], [])
  only.set(COLUMNS, { type: LIST, value: { type: STRUCT, items: columns } })
  const rows = number(group, GROUP_ROWS)
  const metadata = new Map(footer).set(GROUPS, { type: LIST, value: { type: STRUCT, items: [only] } })
  metadata.set(FILE_ROWS, { type: footer.get(FILE_ROWS)?.type as number, value: BigInt(rows) })
  return { rows, body: () => Readable.from(bodyOf(file, start, end, writeStruct(metadata)), { objectMode: false }) }
}

function structs(of: Struct, field: number): Struct[] {
  const list = of.get(field)?.value as List | undefined
  return (list?.items ?? []) as Struct[]
}

const number = (struct: Struct, field: number): number => Number(struct.get(field)?.value ?? 0)

/** Copies a struct without the fields `without`, adding `shift` to its non-zero `offsets`. An offset of 0 means none. */
function shifted(struct: Struct, shift: bigint, offsets: readonly number[], without: readonly number[]): Struct {
  const copy: Struct = new Map([...struct].filter(([id]) => !without.includes(id)))
  for (const id of offsets) {
    const field = copy.get(id)
    if (field && field.value !== 0n) copy.set(id, { ...field, value: (field.value as bigint) + shift })
  }
  return copy
}

async function* bodyOf(file: string, start: number, end: number, footer: Buffer): AsyncGenerator<Buffer> {
  yield MAGIC
  yield* createReadStream(file, { start, end: end - 1 })
  const length = Buffer.alloc(4)
  length.writeUInt32LE(footer.length)
  yield Buffer.concat([footer, length, MAGIC])
}
