/** Elements and texts. Text is set as text only: what a message says is never read as HTML. */

export const byId = (id) => document.getElementById(id)

/** An element with a class and text, or with children. */
export function element(tag, className, content) {
  const made = document.createElement(tag)
  if (className) made.className = className
  if (Array.isArray(content)) made.append(...content)
  else if (content !== undefined) made.textContent = content
  return made
}

/** Sets a text where it is another: a screen reader repeats what was set. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text
}

/** Makes the children of `parent` those of `items`, and leaves the ones that are there already: focus, selection and place stay. */
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
 * The rows of a table body. `columns` are texts of an item by column; `classes` their classes. The first is the head of its row.
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

/** A number for people; what is not known says so. */
export function count(number) {
  if (number === null || number === undefined) return 'unknown'
  return (Math.abs(number) < 10 ? tenth : whole).format(number)
}

/** Decimals with as many digits after the point as the longest has; what is none stays. */
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

/** Shows why something is not there, with the command that helps; hides it for null. */
export function problem(node, found) {
  node.hidden = !found
  const text = found ? `${found.text} → ${found.hint}` : ''
  if (node.dataset.shown === text) return
  node.dataset.shown = text
  node.replaceChildren(...(found ? [found.text, element('code', '', found.hint)] : []))
}
