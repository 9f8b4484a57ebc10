/** Live charts: one line per series over the last ten minutes, with a text legend of the latest values. */
import { count, element, keyed, setText } from '/dom.mjs'
import uPlot from '/uplot.js'

const SHOWN_SECONDS = 600
const SHOWN_LINES = 8
const OTHERS = 'others'

export class Chart {
  #box
  #plotBox = element('div')
  #legend = element('ul', 'legend')
  #name
  #title
  #points = []
  #plot
  #lines = []
  #waiting = false

  /** @param name key of the traces in the points of a part */
  constructor(box, name) {
    this.#box = box
    this.#name = name
    this.#title = box.closest('section').querySelector('h2').textContent
    this.#plotBox.setAttribute('role', 'img')
    this.#plotBox.setAttribute('aria-label', `${this.#title}: no data yet`)
    box.append(this.#plotBox, this.#legend)
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(box)
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#rebuild())
  }

  set points(points) {
    this.#points = [...points]
    this.#schedule()
  }

  add(point) {
    this.#points.push(point)
    this.#schedule()
  }

  /** Draws once per animation frame, so not while the page is hidden. */
  #schedule() {
    if (this.#waiting) return
    this.#waiting = true
    requestAnimationFrame(() => {
      this.#waiting = false
      this.#draw()
    })
  }

  #size() {
    return { width: Math.max(200, this.#box.clientWidth), height: 180 }
  }

  #draw() {
    const newest = this.#points.at(-1)?.atMs ?? 0
    this.#points = this.#points.filter(({ atMs }) => atMs > newest - SHOWN_SECONDS * 1000)
    const lines = this.#choose()
    if (!this.#plot || lines.join('\n') !== this.#lines.join('\n')) {
      this.#lines = lines
      this.#rebuild()
    }
    this.#plot.setData(this.#data())
    const last = this.#points.findLast(({ traces }) => traces[this.#name])
    const values = this.#lines.map((line) => ({ line, value: last ? this.#value(last, line) : null }))
    keyed(
      this.#legend,
      values,
      ({ line }) => line,
      () => element('li', '', [element('i'), element('span')]),
      (item, { line, value }) => {
        item.firstChild.style.background = this.#color(line)
        setText(item.lastChild, `${line} ${value === null ? 'unknown' : count(value)}`)
      },
    )
    const now = values.map(({ line, value }) => `${line} ${value === null ? 'unknown' : count(value)}`).join(', ')
    this.#plotBox.setAttribute('aria-label', `${this.#title}, last ten minutes. Now: ${now || 'no data'}`)
  }

  /** Returns the names of the lines: all of them, or those with the highest recent values and one for the rest. */
  #choose() {
    const most = new Map()
    for (const { traces } of this.#points)
      for (const [line, value] of Object.entries(traces[this.#name] ?? {}))
        most.set(line, Math.max(most.get(line) ?? 0, value))
    if (most.size <= SHOWN_LINES) return [...most.keys()].sort()
    const byMost = [...most].sort((a, b) => b[1] - a[1]).map(([line]) => line)
    return [...byMost.slice(0, SHOWN_LINES - 1).sort(), OTHERS]
  }

  #value({ traces }, line) {
    const values = traces[this.#name]
    if (!values) return null
    if (line !== OTHERS) return values[line] ?? null
    const named = new Set(this.#lines)
    return Object.entries(values).reduce((sum, [name, value]) => (named.has(name) ? sum : sum + value), 0)
  }

  #data() {
    return [
      this.#points.map(({ atMs }) => atMs / 1000),
      ...this.#lines.map((line) => this.#points.map((point) => this.#value(point, line))),
    ]
  }

  #color = (line) => this.#style(`--s${this.#lines.indexOf(line)}`)
  #style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

  #rebuild() {
    this.#plot?.destroy()
    const axis = { stroke: this.#style('--dim'), grid: { stroke: this.#style('--line') }, ticks: { show: false } }
    this.#plot = new uPlot(
      {
        ...this.#size(),
        legend: { show: false },
        cursor: { show: false },
        scales: {
          x: { range: (_, min, max) => [Math.min(min, max - 60), max] },
          y: { range: (_, __, max) => [0, Math.max(1, max * 1.1)] },
        },
        axes: [
          { ...axis, size: 26, space: 70, values: (_, seconds) => seconds.map(clock) },
          { ...axis, size: 52, values: (_, values) => values.map(short) },
        ],
        series: [
          {},
          ...this.#lines.map((line) => ({ stroke: this.#color(line), width: 1.75, points: { show: false } })),
        ],
      },
      this.#data(),
      this.#plotBox,
    )
  }
}

const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString('en-GB')

/** Formats a number for an axis: 1500 as 1.5k. */
function short(value) {
  if (value >= 1e6) return `${value / 1e6}M`
  return value >= 1e3 ? `${value / 1e3}k` : String(value)
}
