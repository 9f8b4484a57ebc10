/** Runs the data quality checks on the market tables, with one query per table. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import { sqlText } from '../clickhouse/sql.mts'
import type { Finding } from '../common/findings.mts'
import { type Check, ENTRIES, JUMP, QUALITY, STEP, STUCK, type TableChecks } from './checks.mts'

export interface QualityScope {
  /** undefined: all symbols. */
  symbol?: string | undefined
  /** UTC date such as 2026-11-25; undefined: all days. */
  day?: string | undefined
}

/** A check that matched rows. */
export interface Doubt extends Pick<Check, 'code' | 'severity' | 'what' | 'expected'> {
  table: string
  count: number
  symbols: number
  /** The first match: symbol, time, values. */
  sample: string
  /** SQL that shows the first 100 matches. */
  query: string
}

export interface Quality {
  tables: { table: string; rows: number; symbols: number }[]
  doubts: Doubt[]
}

/** A symbol is stale if its last row is more than this before the last row of all symbols. */
const STALE_MINUTES = 30

/** Runs all checks and returns a count, a sample and a query for each that matches. */
export async function readQuality(client: ClickHouseClient, scope: QualityScope): Promise<Quality> {
  const quality: Quality = { tables: [], doubts: [] }
  for (const checks of QUALITY) {
    const found = await readTable(client, checks, scope)
    const rows = found.reduce((sum, { rows }) => sum + rows, 0)
    quality.tables.push({ table: checks.table, rows, symbols: found.length })
    const all = checks.table === 'market_l2' ? [...checks.checks, STUCK] : checks.checks
    for (const check of all) {
      const hit = found.filter(
        (symbol) => Number(symbol[`n_${check.code}`]) > 0 && (check.condition !== JUMP || isCounter(symbol)),
      )
      const [first] = hit
      if (!first) continue
      const { code, severity, what, expected } = check
      quality.doubts.push({
        ...{ table: checks.table, code, severity, what, expected },
        count: hit.reduce((sum, symbol) => sum + Number(symbol[`n_${code}`]), 0),
        symbols: hit.length,
        sample: `${first.symbol} ${first[`s_${code}`]}`,
        query: `${show(checks, check, scope)} LIMIT 100`,
      })
    }
    const stale = staleOf(checks.table, found)
    if (stale) quality.doubts.push(stale)
  }
  return quality
}

interface SymbolRow {
  symbol: string
  rows: number
  last: string
  lastS: number
  steps: number
  jumps: number
  /** Whether the built-in ingest wrote rows of the table, of any symbol. */
  fromKafka: number
  [countOrSample: string]: string | number
}

/** Returns the WHERE condition of a scope. */
function selection({ symbol, day }: QualityScope): string {
  const ofSymbol = symbol === undefined ? [] : [`symbol = ${sqlText(symbol)}`]
  const ofDay =
    day === undefined
      ? []
      : [`timestamp >= '${day} 00:00:00' AND timestamp < toDateTime64('${day} 00:00:00', 6, 'UTC') + INTERVAL 1 DAY`]
  return [...ofSymbol, ...ofDay].join(' AND ') || '1'
}

/** The lowest sequence that the built-in ingest writes for partition 1: partition × 10^14 + offset. */
const PARTITION_1_SEQUENCE = '100000000000000'

/**
 * Reports whether a symbol's sequence counts its rows, so that gaps mean missing rows: it mostly grows by 1. An exchange's ids and the
 * Kafka offsets that the ingest stores do not qualify, because symbols share them.
 */
const isCounter = ({ steps, jumps, fromKafka }: SymbolRow) => steps > jumps && !fromKafka

/** Returns one row per symbol: its number of rows, and for each check the count (n_CODE) and first match (s_CODE). */
async function readTable(client: ClickHouseClient, { table, rows, sample, checks }: TableChecks, scope: QualityScope) {
  const from = rows.replace('SELECTION', selection(scope))
  const sums = checks.flatMap(({ code, condition, weight = '1' }) => [
    `sumIf(${weight}, ${condition}) AS n_${code}`,
    `argMinIf(concat(toString(timestamp), ' ', ${sample}), timestamp, ${condition}) AS s_${code}`,
  ])
  const totals = `count() AS row_count, max(timestamp) AS last_at, countIf(${STEP}) AS step_count, countIf(${JUMP}) AS jump_count`
  const fromKafka = `(SELECT max(sequence) >= ${PARTITION_1_SEQUENCE} FROM ${table} WHERE ${selection({ day: scope.day })}) AS fromKafka`
  const query =
    table === 'market_l2'
      ? `SELECT symbol, toFloat64(sum(row_count)) AS rows, toString(max(last_at)) AS last, toFloat64(max(last_at)) AS lastS,
           toFloat64(sum(step_count)) AS steps, toFloat64(sum(jump_count)) AS jumps, ${fromKafka},
           ${checks.map(({ code }) => `toFloat64(sum(n_${code})) AS n_${code}, argMinIf(s_${code}, s_${code}, s_${code} != '') AS s_${code}`).join(', ')},
           toFloat64(countIf(${STUCK.condition})) AS n_${STUCK.code},
           argMinIf(concat(toString(last_time), ' ', toString(side), ' ', toString(last_price)), last_time, ${STUCK.condition}) AS s_${STUCK.code}
         FROM (${ENTRIES(from, `, ${[totals, ...sums].join(', ')}`)}) GROUP BY symbol ORDER BY symbol`
      : `SELECT symbol, toFloat64(row_count) AS rows, toString(last_at) AS last, toFloat64(last_at) AS lastS, toFloat64(step_count) AS steps,
           toFloat64(jump_count) AS jumps, ${fromKafka},
           ${checks.map(({ code }) => `toFloat64(n_${code}) AS n_${code}, s_${code}`).join(', ')}
         FROM (SELECT symbol, ${[totals, ...sums].join(', ')} FROM (${from}) GROUP BY symbol) ORDER BY symbol`
  return readRows<SymbolRow>(client, query)
}

/** Returns the SELECT that shows a check's matches. */
function show({ rows }: TableChecks, check: Check, scope: QualityScope): string {
  const from = rows.replace('SELECTION', selection(scope))
  const source = check === STUCK ? ENTRIES(from, '') : from
  return `SELECT * FROM (${source}) WHERE ${check.condition} ORDER BY symbol`.replace(/\s+/g, ' ')
}

/** Reports the symbols whose last row is more than {@link STALE_MINUTES} before the last row of all. */
function staleOf(table: string, found: readonly SymbolRow[]): Doubt | undefined {
  const lastS = Math.max(...found.map((symbol) => symbol.lastS))
  const stale = found.filter((symbol) => symbol.lastS < lastS - STALE_MINUTES * 60)
  const [first] = stale.toSorted((a, b) => a.lastS - b.lastS)
  if (!first) return undefined
  const query = `SELECT symbol, max(timestamp) AS last FROM ${table} GROUP BY symbol ORDER BY last LIMIT 100`
  return {
    table,
    code: `${{ market_ticks: 'TRADE', market_l1: 'QUOTE', market_l2: 'BOOK' }[table]}_STALE`,
    severity: 'warning',
    what: 'symbols that end early',
    expected: `a last row within ${STALE_MINUTES} minutes of the newest of all symbols`,
    count: stale.length,
    symbols: stale.length,
    sample: `${first.symbol} ${first.last}`,
    query,
  }
}

export function qualityFindings({ doubts }: Quality): Finding[] {
  return doubts.map(({ table, code, severity, what, expected, count, symbols, sample, query }) => {
    const of = symbols === 1 || symbols === count ? '' : ` in ${symbols} symbols`
    return { severity, code, subject: table, found: `${count} ${what}${of}, e.g. ${sample}`, expected, hint: query }
  })
}

/** Renders a line per table: the rows checked, and the count of each check that matched. */
export function renderQuality({ tables, doubts }: Quality): string {
  return tables
    .map(({ table, rows, symbols }) => {
      const found = doubts.filter((doubt) => doubt.table === table).map(({ code, count }) => `${code} ${count}`)
      return `${table.padEnd(12)}  ${rows} rows of ${symbols} symbols  ${found.join(', ') || 'no findings'}`
    })
    .join('\n')
}
