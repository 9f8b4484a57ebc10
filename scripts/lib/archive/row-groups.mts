/**
 * Splits a Parquet file into one file per row group. ClickHouse loads a Parquet file received over HTTP into memory and needs more than its size,
 * which is too much for a day of a large table.
 */
import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import {
  asyncBufferFromFile,
  type ColumnChunk,
  type ColumnMetaData,
  type FileMetaData,
  type RowGroup as Group,
  parquetMetadataAsync,
  type SchemaElement,
} from 'hyparquet'
import { ByteWriter } from 'hyparquet-writer'
import { writeMetadata } from 'hyparquet-writer/src/metadata.js'
import { reason } from '../common/findings.mts'

const MAGIC = Buffer.from('PAR1')

interface RowGroup {
  rows: number
  /** Returns a Parquet file that contains only this row group. */
  body: () => Readable
}

/** @throws {SyntaxError} if the file is not a valid Parquet file */
export async function readRowGroups(file: string): Promise<RowGroup[]> {
  const bytes = await asyncBufferFromFile(file)
  try {
    const found = await parquetMetadataAsync(bytes)
    const metadata = { ...found, schema: found.schema.map(withoutBitWidth) }
    return metadata.row_groups.map((group) => rowGroup(file, metadata, group))
  } catch (failure) {
    if ((failure as NodeJS.ErrnoException).code !== undefined) throw failure
    throw new SyntaxError(`not a valid Parquet file: ${reason(failure)}`, { cause: failure })
  }
}

function rowGroup(file: string, metadata: FileMetaData, group: Group): RowGroup {
  const chunks = group.columns.flatMap(({ meta_data: meta }) => meta ?? [])
  const start = Math.min(...chunks.map(startOf))
  const end = Math.max(...chunks.map((meta) => startOf(meta) + Number(meta.total_compressed_size)))
  const only = {
    ...metadata,
    num_rows: group.num_rows,
    row_groups: [
      {
        ...group,
        file_offset: BigInt(MAGIC.length),
        columns: chunks.map((meta) => moved(meta, BigInt(MAGIC.length - start))),
      },
    ],
  }
  return {
    rows: Number(group.num_rows),
    body: () => Readable.from(bodyOf(file, start, end, only), { objectMode: false }),
  }
}

/** hyparquet-writer 0.17 encodes bit widths as i32 instead of i8, which ClickHouse rejects. The converted type has the same meaning. */
function withoutBitWidth({ logical_type: logical, ...element }: SchemaElement): SchemaElement {
  return logical === undefined || logical.type === 'INTEGER' ? element : { ...element, logical_type: logical }
}

/** An offset of 0 means none. */
const startOf = (meta: ColumnMetaData): number => Number(meta.dictionary_page_offset || meta.data_page_offset)

/** Returns a column moved by `shift` bytes, without statistics and indexes: no INSERT reads them, and the file stores some outside of the row group. */
function moved(meta: ColumnMetaData, shift: bigint): ColumnChunk {
  const { statistics, index_page_offset, bloom_filter_offset, bloom_filter_length, ...rest } = meta
  const dictionary = meta.dictionary_page_offset
  const data = { ...rest, data_page_offset: meta.data_page_offset + shift }
  return { file_offset: 0n, meta_data: dictionary ? { ...data, dictionary_page_offset: dictionary + shift } : data }
}

async function* bodyOf(file: string, start: number, end: number, metadata: FileMetaData): AsyncGenerator<Buffer> {
  yield MAGIC
  yield* createReadStream(file, { start, end: end - 1 })
  const footer = new ByteWriter()
  writeMetadata(footer, metadata)
  yield Buffer.concat([footer.getBytes(), MAGIC])
}
