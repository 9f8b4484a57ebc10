/** One card per service. State changes are announced to screen readers. */
import { byId, element, keyed, problem, setText } from '/dom.mjs'

const MARKS = { healthy: '✓', unhealthy: '✗', unknown: '?', skipped: '–' }
const known = new Map()

/** Converts a part (the health of a service, or the ingest) to the content of its card. */
function cardOf({ name, data, problem: found }) {
  const service = name.replace('health ', '')
  if (found) return { service, state: 'unknown', summary: 'no data', findings: [], problem: found }
  if (name !== 'ingest') return { ...data, service }
  const bad = data.findings.some(({ severity }) => severity === 'error')
  const open = data.findings.some(({ severity }) => severity === 'unknown')
  const state = data.state === 'off' ? 'skipped' : bad ? 'unhealthy' : open ? 'unknown' : 'healthy'
  return { service, state, summary: data.state, findings: data.findings }
}

function make() {
  return element('li', '', [
    element('p', '', [element('span', 'state'), ' ', element('strong')]),
    element('p', 'summary'),
    element('div'),
    element('p', 'problem'),
  ])
}

function fill(card, { service, state, latencyMs, summary, findings, problem: found }) {
  card.dataset.state = state
  const [head, essentials, list, problemLine] = card.children
  setText(head.children[0], `${MARKS[state]} ${state}`)
  setText(head.children[1], service)
  const took = latencyMs === undefined || state === 'skipped' ? '' : ` (${latencyMs}\u00a0ms)`
  setText(essentials, `${summary}${took}`)
  keyed(
    list,
    findings,
    ({ code, subject }) => `${code} ${subject}`,
    () => element('p', 'finding', [element('span'), element('code')]),
    (line, finding) => {
      const { subject, found: seen, expected, hint } = finding
      setText(
        line.children[0],
        expected === undefined ? `${subject}: ${seen}` : `${subject}: ${seen}, expected ${expected}`,
      )
      setText(line.children[1], hint)
    },
  )
  problem(problemLine, found)
  const before = known.get(service)
  if (before !== undefined && before !== state) setText(byId('changes'), `${service} is ${state}`)
  known.set(service, state)
}

/** False for services that are not part of the running stack, such as Kafka UI without containers. */
const isPart = ({ state, service }) => state !== 'skipped' || service === 'ingest'

export function showServices(states) {
  const cards = states.filter(({ name }) => name === 'ingest' || name.startsWith('health ')).map(cardOf)
  keyed(byId('services'), cards.filter(isPart), ({ service }) => service, make, fill)
}
