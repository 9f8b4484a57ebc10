/** Entry point: shows the data that the server sends, and its age. */
import { Chart } from '/charts.mjs'
import { byId, problem, setText } from '/dom.mjs'
import { followBook, followMessages } from '/lookup.mjs'
import { showServices } from '/services.mjs'
import { showIngest, showKafka, showTables } from '/tables.mjs'

/** Milliseconds without an event after which the data counts as stale. */
const OLD_MS = 15_000

const charts = {
  kafka: [new Chart(byId('throughput'), 'throughput'), new Chart(byId('lag'), 'lag')],
  tables: [new Chart(byId('rows'), 'rows')],
}
const show = { kafka: showKafka, tables: showTables, ingest: showIngest }
const states = new Map()
let heardMs = 0
let isConnected = false

followMessages()
const chooseSymbol = followBook()

function take(state) {
  states.set(state.name, state)
  const { name, data, problem: found, point } = state
  if (data) show[name]?.(data)
  if (name === 'tables' && data) chooseSymbol(data.symbols[0])
  if (point) for (const chart of charts[name] ?? []) chart.add(point)
  for (const section of document.querySelectorAll(`[data-part="${name}"]`)) {
    section.classList.toggle('stale', found !== null)
    problem(section.querySelector('.problem'), found && { ...found, text: `${found.text}${ageOf(state)}` })
  }
}

const clock = (ms) => new Date(ms).toLocaleTimeString()

/** Returns a suffix with the time of the data that is still shown. */
const ageOf = ({ atMs }) => (atMs === null ? '' : `; showing data from ${clock(atMs)}`)

function heard() {
  heardMs = Date.now()
  isConnected = true
  showAge()
}

function showAge() {
  const isLive = isConnected && Date.now() - heardMs < OLD_MS
  const lost = heardMs === 0 ? 'Connecting' : `Connection lost; showing data from ${clock(heardMs)}`
  setText(byId('connection'), isLive ? 'Live' : lost)
  document.body.classList.toggle('stale', !isLive && heardMs > 0)
}

const source = new EventSource('/events')
source.addEventListener('begin', ({ data }) => {
  const begin = JSON.parse(data)
  for (const [name, points] of Object.entries(begin.history))
    for (const chart of charts[name] ?? []) chart.points = points
  for (const state of begin.states) take({ ...state, point: undefined })
  showServices(order())
  heard()
})
source.addEventListener('part', ({ data }) => {
  take(JSON.parse(data))
  showServices(order())
  heard()
})
source.addEventListener('error', () => {
  isConnected = false
  showAge()
})
setInterval(showAge, 1_000)

/** Display order of the service cards. */
const ORDER = ['zookeeper', 'kafka', 'clickhouse', 'redis', 'kafka-ui'].map((service) => `health ${service}`)
function order() {
  return [...ORDER, 'ingest'].flatMap((name) => states.get(name) ?? [])
}
