/** The tables of the page. */
import { aligned, byId, bytes, count, element, keyed, rows, setText, span } from '/dom.mjs'

const N = 'n'

/** Formats when a group will have read a topic to its end. */
function caughtUp({ lag, catchUpSeconds, readPerSecond }) {
  if (lag === null || readPerSecond === null) return lag === 0 ? 'now' : 'unknown'
  if (lag === 0) return 'now'
  if (catchUpSeconds !== null) return `in ${span(catchUpSeconds)}`
  return readPerSecond === 0 ? 'never: reads nothing' : 'never at this rate'
}

export function showKafka({ topics, groups }) {
  const readers = (topic) =>
    groups.flatMap((group) =>
      group.topics.filter((read) => read.topic === topic).map((read) => `${group.group} (${count(read.lag)})`),
    )
  const columns = [
    ({ topic }) => topic,
    ({ partitions, replication }) => `${partitions}${replication > 1 ? ` × ${replication}` : ''}`,
    ({ messages }) => count(messages),
    ({ writtenPerSecond }) => (writtenPerSecond === null ? '' : count(writtenPerSecond)),
    (topic) => bytes(topic.bytes),
    ({ topic }) => readers(topic).join(', ') || 'none',
    ({ config }) => config.map(({ key, value }) => `${key}=${value}`).join(' '),
  ]
  rows(byId('topics'), topics, ({ topic }) => topic, columns, ['', N, N, N, N, '', 'value'])
  const lines = groups.flatMap(({ topics: read, ...group }) =>
    read.length > 0 ? read.map((topic) => ({ ...group, ...topic })) : [{ ...group, topic: '', lag: undefined }],
  )
  const none = ({ lag }) => lag === undefined
  const groupColumns = [
    ({ group }) => group,
    ({ state }) => state,
    ({ members }) => count(members),
    (line) => (none(line) ? 'nothing committed' : line.topic),
    (line) => (none(line) ? '' : count(line.lag)),
    (line) => (none(line) || line.readPerSecond === null ? '' : count(line.readPerSecond)),
    (line) => (none(line) ? '' : caughtUp(line)),
  ]
  rows(byId('groups'), lines, ({ group, topic }) => `${group}\n${topic}`, groupColumns, ['', '', N, '', N, N, ''])
  options(byId('topic'), ['', ...topics.map(({ topic }) => topic)], (topic) => topic || 'none')
}

/** Updates the options of a select or datalist. */
function options(list, values, textOf) {
  const make = (value) => {
    const option = element('option', '', textOf?.(value))
    option.value = value
    return option
  }
  keyed(
    list,
    values,
    (value) => value,
    make,
    () => {},
  )
}

const prices = ({ bid, ask, spread }) => aligned([bid, ask, spread])

export function showTables({ tables, quotes, symbols }) {
  const columns = [
    ({ table }) => table,
    (table) => count(table.rows),
    ({ rowsPerSecond }) => (rowsPerSecond === null ? '' : count(rowsPerSecond)),
    (table) => bytes(table.bytes),
  ]
  rows(byId('tables'), tables, ({ table }) => table, columns, ['', N, N, N])
  const today = new Date().toISOString().slice(0, 10)
  const quoteColumns = [
    ({ symbol }) => symbol,
    (quote) => prices(quote)[0],
    (quote) => prices(quote)[1],
    (quote) => prices(quote)[2],
    ({ bidSize, askSize }) => `${count(bidSize)} × ${count(askSize)}`,
    ({ time }) => (time.startsWith(today) ? time.slice(11, 23) : time.slice(0, 23)),
  ]
  rows(byId('quotes'), quotes, ({ symbol }) => symbol, quoteColumns, ['', N, N, N, N, 'nowrap'])
  options(byId('symbols'), [...symbols].sort())
}

export function showIngest({ state, topics, rejects }) {
  setText(byId('ingest-state'), state === 'off' ? 'off; turn it on with: ./scripts/ingest.mts on' : state)
  const columns = [
    ({ topic }) => topic,
    ({ table }) => table,
    ({ lag }) => count(lag),
    ({ messagesPerSecond }) => count(messagesPerSecond),
    (topic) => count(topic.rejects),
    ({ rejectsToday }) => count(rejectsToday),
  ]
  rows(byId('ingest'), topics, ({ topic }) => topic, columns, ['', '', N, N, N, N])
  byId('rejects-title').hidden = rejects.length === 0
  keyed(
    byId('rejects'),
    rejects,
    ({ topic, partition, offset }) => `${topic}/${partition}/${offset}`,
    () => element('li', '', [element('span'), element('code')]),
    (item, { topic, partition, offset, error, message }) => {
      setText(item.children[0], `${topic} ${partition}/${offset}: ${error} `)
      setText(item.children[1], message)
    },
  )
}
