/** What is asked for by name, again and again while it is shown: the messages of a topic, the book of a symbol. */
import { aligned, byId, count, element, keyed, problem, rows, setText } from '/dom.mjs'

const AGAIN_MS = 2_000

/** The answer at a path, or why there is none. */
async function ask(path) {
  try {
    const response = await fetch(path)
    const body = await response.text()
    if (response.headers.get('content-type')?.startsWith('application/json')) return JSON.parse(body)
    return { problem: { text: body.trim(), hint: '' } }
  } catch {
    return { problem: { text: 'This page gets no answer', hint: 'npm run ui' } }
  }
}

/** Calls `look` now, and again after each end of it; `again` says whether. Returns what looks at once. */
function repeat(look, again) {
  let timer
  let turn = 0
  const go = async () => {
    clearTimeout(timer)
    const own = ++turn
    await look(() => own === turn)
    if (own === turn) timer = setTimeout(() => (again() && !document.hidden ? go() : later()), AGAIN_MS)
  }
  const later = () => {
    timer = setTimeout(() => (again() && !document.hidden ? go() : later()), AGAIN_MS)
  }
  return go
}

const MESSAGE_COLUMNS = [
  ({ time }) => time ?? 'no time',
  ({ partition, offset }) => `${partition}/${offset}`,
  ({ key }) => key ?? '-',
  ({ value }) => value,
]

export function followMessages() {
  const [select, follow] = [byId('topic'), byId('follow')]
  const look = repeat(
    async (isWanted) => {
      const topic = select.value
      const answer = topic === '' ? { messages: [] } : await ask(`/api/messages?topic=${encodeURIComponent(topic)}`)
      if (!isWanted()) return
      problem(byId('messages-problem'), answer.problem)
      const keyOf = ({ partition, offset }) => `${topic}/${partition}/${offset}`
      if (answer.messages) rows(byId('messages'), answer.messages, keyOf, MESSAGE_COLUMNS, ['', 'nowrap', '', 'value'])
    },
    () => follow.checked && select.value !== '',
  )
  select.addEventListener('change', look)
}

/** Shows the book of the chosen symbol; before one is chosen, of `first`. */
export function followBook() {
  const input = byId('symbol')
  const look = repeat(
    async (isWanted) => {
      const symbol = input.value.trim()
      const answer =
        symbol === '' ? { bids: [], asks: [] } : await ask(`/api/book?symbol=${encodeURIComponent(symbol)}`)
      if (!isWanted()) return
      problem(byId('book-problem'), answer.problem)
      if (!answer.problem) showBook(answer)
    },
    () => input.value.trim() !== '',
  )
  input.addEventListener('change', look)
  return (first) => {
    if (input.value !== '' || document.activeElement === input || !first) return
    input.value = first
    look()
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
