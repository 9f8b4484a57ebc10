/** Renders the results of the storage benchmark as a text table and as a chart. */
import { formatCount } from '../../scripts/lib/common/count.mts'
import { table } from '../../scripts/lib/common/table.mts'
import type { BenchResult } from './bench.mts'
import type { SchemaName } from './measure.mts'

const ratio = (value: number): string => `${value.toFixed(value >= 10 ? 0 : 2)}×`
const thousands = (value: number): string => formatCount(Math.round(value))

const HEAD = ['shipped', 'today', 'naive', '÷ today', '÷ naive', 'CPU ms: shipped', 'today', 'target']

/** Renders one line per measurement. Targets refer to the ratio to today's schema. */
export function renderBench({ sizes, inserts, states, rollUps, version, threads, subject }: BenchResult): string {
  const lines: string[][] = [['', ...HEAD]]
  const add = (
    name: string,
    value: Record<SchemaName, number>,
    show: (value: number) => string,
    { cpuMs, target = '' }: { cpuMs?: Record<SchemaName, number>; target?: string } = {},
  ) => {
    const { shipped, today, naive } = value
    const cpu = cpuMs ? [cpuMs.shipped.toFixed(1), cpuMs.today.toFixed(1)] : ['', '']
    const values = [shipped, today, naive].map(show)
    lines.push([name, ...values, ratio(shipped / today), ratio(shipped / naive), ...cpu, target])
  }
  const each = <T,>(by: Record<SchemaName, T>, pick: (value: T) => number) => ({
    shipped: pick(by.shipped),
    today: pick(by.today),
    naive: pick(by.naive),
  })
  for (const { table, by } of sizes)
    add(
      `${table}: bytes per row`,
      each(by, ({ bytes, rows }) => bytes / rows),
      (bytes) => bytes.toFixed(2),
    )
  for (const { table, kind, by } of inserts) {
    const { format, rows, symbols, throughInput, atLeast } = kind
    const one = symbols === 1 ? ', one symbol' : ''
    const name = `${table}: rows/s, ${format}, ${thousands(rows)}${one}${throughInput ? ', input()' : ''}`
    const cpuMs = each(by, (speed) => speed.cpuMs)
    const target = atLeast === undefined ? '' : `≥ ${atLeast}`
    add(
      name,
      each(by, ({ perSecond }) => perSecond),
      thousands,
      { cpuMs, target },
    )
    lines.push([
      '  without a deduplication token',
      thousands(by.untokened.perSecond),
      '',
      '',
      ratio(by.untokened.perSecond / by.today.perSecond),
      ratio(by.untokened.perSecond / by.naive.perSecond),
      by.untokened.cpuMs.toFixed(1),
      '',
      '',
    ])
  }
  for (const { state, parts, answers } of states) {
    add(`${state}: parts`, parts, String)
    for (const { name, ms, cpuMs, atMost } of answers)
      add(`${state}: ${name}, ms`, ms, (value) => value.toFixed(1), { cpuMs, target: `≤ ${atMost}` })
  }
  const costs = rollUps.map(
    ({ name, msPerMillionRows, bytesPerRow }) =>
      `Roll-up of ${name}: ${msPerMillionRows.toFixed(0)} ms and ${((bytesPerRow * 1e6) / 1e3).toFixed(0)} kB per million rows`,
  )
  const [sized, stored] = [sizes[0]?.by.naive.rows ?? 0, states[0]?.rows ?? 0]
  return [
    `ClickHouse ${version}, ${threads} threads; sizes of ${thousands(sized)} trades, queries on ${thousands(stored)} rows about ${subject.symbol}`,
    'CPU time of inserts is per 1,000 rows.',
    table(lines, { align: `l${'r'.repeat(HEAD.length)}`, indent: 0 }),
    ...costs,
  ].join('\n')
}

/** Dimensions in pixels. */
const WIDTH = 760
const ROW = 26
const LEFT = 210
const SCALE = 90

const [MERGED, HOT] = ['#1a7f5a', '#8fc9b3']

/** Renders a logarithmic chart of the ratios to today's schema, with one bar per query and state of the tables. */
export function chartOf({ sizes, states }: BenchResult): string {
  const [hot, merged] = states
  const bars = [
    ...sizes.map(({ table, by: { shipped, today } }) => ({
      label: `${table}: size`,
      values: [today.bytes / today.rows / (shipped.bytes / shipped.rows)],
    })),
    ...(merged?.answers ?? []).map(({ name, ms }, index) => {
      const then = hot?.answers[index]?.ms ?? ms
      return { label: name, values: [ms.today / ms.shipped, then.today / then.shipped] }
    }),
  ]
  const height = 60 + bars.length * ROW
  const x = (value: number) => LEFT + SCALE * (2 + Math.log2(Math.max(value, 0.25))) * 0.55
  const bar = (y: number, value: number, style: string) => {
    const [from, to] = [Math.min(x(1), x(value)), Math.max(x(1), x(value))]
    const label = `<text x="${to + 4}" y="${y + 8}" font-size="9">${ratio(value)}</text>`
    return `<rect x="${from.toFixed(1)}" y="${y}" width="${(to - from).toFixed(1)}" height="9" fill="${style}"/>${label}`
  }
  const rows = bars.map(({ label, values }, index) => {
    const y = 44 + index * ROW
    const drawn = values.map((value, position) => bar(y + 10 * position, value, position === 0 ? MERGED : HOT)).join('')
    return `<text x="${LEFT - 20}" y="${y + 12}" text-anchor="end">${label}</text>${drawn}`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12" fill="#222">
<rect width="${WIDTH}" height="${height}" fill="#fff"/>
<text x="${LEFT}" y="18" font-size="13">Times smaller or faster than the schema of existing installations (logarithmic)</text>
<text x="${LEFT}" y="34" fill="${MERGED}">merged</text><text x="${LEFT + 60}" y="34" fill="#4f9a80">on a trading day</text>
<line x1="${x(1)}" y1="40" x2="${x(1)}" y2="${height - 10}" stroke="#999"/>
${rows.join('\n')}
</svg>
`
}
