/** The figures of the storage benchmark as a table for people and as a chart. */
import type { BenchResult } from './bench.mts'
import { SCHEMAS } from './measure.mts'

const ratio = (value: number): string => `${value >= 10 ? value.toFixed(0) : value.toFixed(1)}×`
const thousands = (value: number): string => Math.round(value).toLocaleString('en-US')

/** A table with a line for each measurement: the three schemas, and how the shipped one compares with naive. */
export function renderBench({ sizes, inserts, answers, rollUps, version, threads, subject }: BenchResult): string {
  const lines: string[][] = [['', 'shipped', 'naive', 'today', 'shipped against naive']]
  for (const { table, by } of sizes) {
    const bytes = SCHEMAS.map((schema) => by[schema].bytes / by[schema].rows)
    const [shipped = 0, naive = 0] = bytes
    lines.push([`${table}: bytes a row`, ...bytes.map((each) => each.toFixed(2)), `${ratio(naive / shipped)} smaller`])
    lines.push([
      `${table}: parts loaded → merged`,
      ...SCHEMAS.map((schema) => `${by[schema].parts} → ${by[schema].mergedParts}`),
      '',
    ])
  }
  for (const { table, format, by } of inserts) {
    const speed = `${(by.shipped / by.naive).toFixed(2)}× (${(by.untokened / by.naive).toFixed(2)}× without token)`
    lines.push([`${table}: rows/s, ${format}`, ...SCHEMAS.map((schema) => thousands(by[schema])), speed])
  }
  for (const { name, ms, target } of answers) {
    const faster = ratio(ms.naive / ms.shipped)
    lines.push([
      `${name}: ms`,
      ...SCHEMAS.map((schema) => ms[schema].toFixed(1)),
      `${faster} as fast${target ? ` (target ${target}×)` : ''}`,
    ])
  }
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map((line) => (line[column] as string).length))) ?? []
  const table = lines.map((line) =>
    line
      .map((cell, column) =>
        column === 0 || column === 4 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  )
  const costs = rollUps.map(
    ({ name, msPerMillionRows, bytesPerRow }) =>
      `Roll-up of ${name}: ${msPerMillionRows.toFixed(0)} ms and ${((bytesPerRow * 1e6) / 1e3).toFixed(0)} kB for a million rows`,
  )
  const [first] = sizes
  return [
    `ClickHouse ${version}, ${threads} threads, ${thousands(first?.by.naive.rows ?? 0)} rows a table, about ${subject.symbol}`,
    ...table,
    ...costs,
  ].join('\n')
}

/** Pixels. */
const WIDTH = 760
const ROW = 26
const LEFT = 210
const SCALE = 90

/** A chart of how many times smaller and faster than naive: logarithmic, a bar for the shipped and one for today's schema. */
export function chartOf({ sizes, answers }: BenchResult): string {
  const bars = [
    ...sizes.map(({ table, by }) => {
      const perRow = (schema: 'shipped' | 'naive' | 'today') => by[schema].bytes / by[schema].rows
      return {
        label: `${table}: size`,
        shipped: perRow('naive') / perRow('shipped'),
        today: perRow('naive') / perRow('today'),
      }
    }),
    ...answers.map(({ name, ms }) => ({ label: name, shipped: ms.naive / ms.shipped, today: ms.naive / ms.today })),
  ]
  const height = 60 + bars.length * ROW
  const x = (value: number) => LEFT + SCALE * (1 + Math.log2(Math.max(value, 0.5))) * 0.55
  const bar = (y: number, value: number, style: string) => {
    const [from, to] = [Math.min(x(1), x(value)), Math.max(x(1), x(value))]
    const label = `<text x="${Math.max(to, x(1)) + 4}" y="${y + 8}" font-size="9">${ratio(value)}</text>`
    return `<rect x="${from.toFixed(1)}" y="${y}" width="${(to - from).toFixed(1)}" height="9" fill="${style}"/>${label}`
  }
  const rows = bars.map(({ label, shipped, today }, index) => {
    const y = 44 + index * ROW
    return `<text x="${LEFT - 20}" y="${y + 12}" text-anchor="end">${label}</text>${bar(y, shipped, '#1a7f5a')}${bar(y + 10, today, '#b9b9b9')}`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12" fill="#222">
<rect width="${WIDTH}" height="${height}" fill="#fff"/>
<text x="${LEFT}" y="18" font-size="13">Times smaller or faster than the naive schema (logarithmic)</text>
<text x="${LEFT}" y="34" fill="#1a7f5a">shipped</text><text x="${LEFT + 60}" y="34" fill="#8a8a8a">today's installations</text>
<line x1="${x(1)}" y1="40" x2="${x(1)}" y2="${height - 10}" stroke="#999"/>
${rows.join('\n')}
</svg>
`
}
