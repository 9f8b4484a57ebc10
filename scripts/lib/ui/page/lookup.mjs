/** Periodic queries for the selected topic (messages) and symbol (order book). */
import { aligned, byId, count, element, keyed, problem, rows, setText } from '/dom.mjs'

const PAUSE_MS = 2_000

/** Returns the JSON at a path, or `{ problem }` on failure. */
async function query(path) {
  try {
    const response = await fetch(path)
    const body = await response.text()
    if (response.headers.get('content-type')?.startsWith('application/json')) return JSON.parse(body)
    return { problem: { text: body.trim(), hint: '' } }
  } catch {
    return { problem: { text: 'The server does not answer', hint: 'npm run ui' } }
  }
}

/**
 * Returns a function that refreshes at once, and then after each pause while `isActive()` and the page is visible.
 * @param refresh gets a function that returns false once a newer refresh has started
 */
function repeat(refresh, isActive) {
  let timer
  let turn = 0
  const run = async () => {
    clearTimeout(timer)
    const started = ++turn
    await refresh(() => started === turn)
    if (started === turn) schedule()
  }
  const schedule = () => {
    timer = setTimeout(() => (isActive() && !document.hidden ? run() : schedule()), PAUSE_MS)
  }
  return run
}

const MESSAGE_COLUMNS = [
  ({ time }) => time ?? 'no time',
  ({ partition, offset }) => `${partition}/${offset}`,
  ({ key }) => key ?? '-',
  ({ value }) => value,
]

export function followMessages() {
  const [select, follow] = [byId('topic'), byId('follow')]
  const refresh = repeat(
    async (isCurrent) => {
      const topic = select.value
      const answer = topic === '' ? { messages: [] } : await query(`/api/messages?topic=${encodeURIComponent(topic)}`)
      if (!isCurrent()) return
      problem(byId('messages-problem'), answer.problem)
      const keyOf = ({ partition, offset }) => `${topic}/${partition}/${offset}`
      if (answer.messages) rows(byId('messages'), answer.messages, keyOf, MESSAGE_COLUMNS, ['', 'nowrap', '', 'value'])
    },
    () => follow.checked && select.value !== '',
  )
  select.addEventListener('change', refresh)
}

/** Shows the book of the selected symbol. The function returned selects a default symbol if none is selected. */
export function followBook() {
  const input = byId('symbol')
  const refresh = repeat(
    async (isCurrent) => {
      const symbol = input.value.trim()
      const answer =
        symbol === '' ? { bids: [], asks: [] } : await query(`/api/book?symbol=${encodeURIComponent(symbol)}`)
      if (!isCurrent()) return
      problem(byId('book-problem'), answer.problem)
      if (!answer.problem) showBook(answer)
    },
    () => input.value.trim() !== '',
  )
  input.addEventListener('change', refresh)
  return (first) => {
    if (input.value !== '' || document.activeElement === input || !first) return
    input.value = first
    refresh()
  }
}

function showBook({ symbol, time, bids, asks }) {
  setText(byId('book-time'), time ? `${time.slice(0, 23)} UTC` : symbol ? 'no events' : '')
  const prices = aligned([...bids, ...asks].map(({ price }) => price))
  const most = Math.max(1e-9, ...[...bids, ...asks].map(({ size }) => size))
  const levels = Array.from({ length: Math.max(bids.length, asks.length) }, (_, level) => level)
  const cell = (side) => element('td', `n ${side}`, [element('div', 'bar'), element('span')])
  const make = () => element('tr', '', [cell('bids'), element('td', 'n'), element('td', 'n'), cell('asks')])
  keyed(byId('book'), levels, String, make, (row, level) => {
    const [bidSize, bid, ask, askSize] = row.children
    setText(bid, bids[level] ? prices[level] : '')
    setText(ask, asks[level] ? prices[bids.length + level] : '')
    for (const [box, entry] of [
      [bidSize, bids[level]],
      [askSize, asks[level]],
    ]) {
      setText(box.lastChild, entry ? count(entry.size) : '')
      box.firstChild.style.width = `${((entry?.size ?? 0) / most) * 100}%`
    }
  })
}
