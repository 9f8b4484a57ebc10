/** DOM and text helpers. Content is only ever set as text, never as HTML. */

export const byId = (id) => document.getElementById(id)

/** Creates an element with text, or with children. */
export function element(tag, className, content) {
  const made = document.createElement(tag)
  if (className) made.className = className
  if (Array.isArray(content)) made.append(...content)
  else if (content !== undefined) made.textContent = content
  return made
}

/** Sets a text only if it differs: a screen reader announces every change. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text
}

/**
 * Updates the children of `parent` to match `items`. Reuses children by key, which keeps focus, selection and scroll
 * position.
 */
export function keyed(parent, items, keyOf, make, fill) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]))
  items.forEach((item, index) => {
    const key = keyOf(item)
    let child = old.get(key)
    if (!child) {
      child = make(item)
      child.dataset.key = key
    }
    old.delete(key)
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null)
    fill(child, item)
  })
  for (const child of old.values()) child.remove()
}

/**
 * Updates the rows of a table body. The first cell of a row is its header.
 * @param columns functions from an item to the text of a cell
 * @param classes class names of the cells, by column
 */
export function rows(body, items, keyOf, columns, classes) {
  const make = () =>
    element(
      'tr',
      '',
      columns.map((_, index) => {
        const cell = element(index === 0 ? 'th' : 'td', classes[index])
        if (index === 0) cell.scope = 'row'
        return cell
      }),
    )
  keyed(body, items, keyOf, make, (row, item) => {
    columns.forEach((column, index) => {
      setText(row.children[index], column(item))
    })
  })
}

const whole = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 0 })
const tenth = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 1 })

/** Formats a number; null as "unknown". */
export function count(number) {
  if (number === null || number === undefined) return 'unknown'
  return (Math.abs(number) < 10 ? tenth : whole).format(number)
}

/** Pads decimals to the same number of digits after the point. */
export function aligned(texts) {
  const digits = (text) => text?.split('.')[1]?.length ?? 0
  const most = Math.max(0, ...texts.map(digits))
  const pad = (text) => (most === 0 ? text : (text.includes('.') ? text : `${text}.`) + '0'.repeat(most - digits(text)))
  return texts.map((text) => (text ? pad(text) : ''))
}

export function bytes(number) {
  if (number === null || number === undefined) return 'unknown'
  const at = Math.min(4, Math.floor(Math.log2(Math.max(1, number)) / 10))
  return `${tenth.format(number / 1024 ** at)} ${['B', 'kB', 'MB', 'GB', 'TB'][at]}`
}

export function span(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`
  return seconds < 86_400 ? `${tenth.format(seconds / 3600)} h` : `${tenth.format(seconds / 86_400)} d`
}

/** Shows a problem with the command that helps; hides the node for null. */
export function problem(node, found) {
  node.hidden = !found
  const text = found ? `${found.text} → ${found.hint}` : ''
  if (node.dataset.shown === text) return
  node.dataset.shown = text
  node.replaceChildren(...(found ? [found.text, element('code', '', found.hint)] : []))
}
