import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { buffer } from 'node:stream/consumers'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readRowGroups } from '../../scripts/lib/archive/row-groups.mts'
import { connectClickHouse, insertStream, readRows } from '../../scripts/lib/clickhouse/client.mts'
import { sharedStack } from '../support/stack.mts'

const folder = mkdtempSync(path.join(tmpdir(), 'l2-row-groups-'))
const file = path.join(folder, 'rows.parquet')
const client = await connectClickHouse((await sharedStack()).settings, 30_000)
const [FROM, TO] = ['row_groups_from', 'row_groups_to']
const run = (query: string) => client.command({ query })

const groups = suite('readRowGroups')

for (const type of [
  ...['Int8', 'UInt8', 'Int16', 'UInt32', 'Int64', 'Int128', 'UInt256', 'Float32', 'Bool', 'String', 'FixedString(5)'],
  ...['Date', 'Date32', 'DateTime', 'DateTime64(3)', 'DateTime64(9)', 'UUID', 'IPv4', 'IPv6'],
  ...['Decimal(9, 2)', 'Decimal(38, 10)', 'Decimal(76, 20)', "Enum8('a' = 1, 'b' = 2)", "Enum16('c' = 1000)"],
  ...['LowCardinality(String)', 'LowCardinality(Nullable(String))', 'Nullable(UInt8)', 'Nullable(Float64)'],
  ...['Array(String)', 'Array(Array(UInt8))', 'Array(Nullable(Int32))', 'Map(String, UInt64)'],
  ...['Tuple(a UInt8, b String)', 'Array(Tuple(x Int32, y Nullable(String)))'],
]) {
  groups(`keeps all values of ${type}`, async () => {
    for (const name of [FROM, TO]) await run(`CREATE OR REPLACE TABLE ${name} (id UInt32, v ${type}) ENGINE = Memory`)
    const random = `generateRandom('v ${type.replaceAll("'", "\\'")}', 1, 10, 3)`
    await run(`INSERT INTO ${FROM} SELECT rowNumberInAllBlocks(), v FROM ${random} LIMIT 1000`)
    const { stream } = await client.exec({
      query: `SELECT * FROM ${FROM} FORMAT Parquet
              SETTINGS output_format_parquet_compression_method = 'zstd', output_format_parquet_row_group_size = 300`,
    })
    writeFileSync(file, await buffer(stream))
    const read = await readRowGroups(file)
    assert.equal([read.length > 2, read.reduce((sum, { rows }) => sum + rows, 0)], [true, 1000])
    for (const group of read) await insertStream(client, `INSERT INTO ${TO} FORMAT Parquet`, group.body())
    const contents = (name: string) => readRows(client, `SELECT count(), sum(cityHash64(id, toString(v))) FROM ${name}`)
    assert.equal(await contents(TO), await contents(FROM))
  })
}

for (const [what, bytes] of Object.entries({
  'no bytes': '',
  'other bytes': 'x'.repeat(100),
  'a wrong footer': 'PAR1xxx\u0003\u0000\u0000\u0000PAR1',
}))
  groups(`refuses a file with ${what}`, async () => {
    writeFileSync(file, bytes)
    const failure = await readRowGroups(file).catch((thrown: unknown) => thrown)
    assert.instance(failure, SyntaxError)
  })

groups.after(async () => {
  for (const name of [FROM, TO]) await run(`DROP TABLE IF EXISTS ${name}`)
  await client.close()
  rmSync(folder, { recursive: true })
})
groups.run()
