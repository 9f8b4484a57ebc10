/** What the page shows, part by part: each is read again and again while someone looks, against its own deadline, and has its own age. */
import { setTimeout as delay } from 'node:timers/promises'
import { OpsError, reason, sentence } from '../common/findings.mts'
import { inTime } from '../common/wait.mts'

/** By chart, the values of its lines at one moment. */
export type Traces = Record<string, Record<string, number>>

export interface Part {
  name: string
  /** From the end of one reading to the begin of the next. */
  pauseMs: number
  timeoutMs: number
  read: () => Promise<unknown>
  /** What of the data is drawn. */
  traces?: (data: never) => Traces
  /** Called when nobody looks any more. */
  close?: () => void
}

export interface Problem {
  text: string
  hint: string
}

export interface PartState {
  name: string
  /** When `data` was read, in ms since 1970; null for never. */
  atMs: number | null
  /** The last answer, which may be older than `problem`. */
  data: unknown
  /** Why the last reading brought nothing; null when it brought `data`. */
  problem: Problem | null
  /** What the charts draw at this moment; empty lines where it could not be read. */
  point?: Point
}

export interface Point {
  atMs: number
  traces: Traces
}

/** Points that are kept: ten minutes of a part that is read every 2 s. */
const KEPT_POINTS = 300

export class Sampler {
  readonly #parts: readonly Part[]
  readonly #states = new Map<string, PartState>()
  readonly #history = new Map<string, Point[]>()
  readonly #reading = new Map<string, Promise<PartState>>()
  readonly #publish: (state: PartState) => void
  #watchers = 0
  #pause = new AbortController()

  /** @param publish given the state of a part after each reading */
  constructor(parts: readonly Part[], publish: (state: PartState) => void) {
    this.#parts = parts
    this.#publish = publish
  }

  /** The parts that were read so far, and by part what its charts drew. */
  get states(): PartState[] {
    return this.#parts.flatMap(({ name }) => this.#states.get(name) ?? [])
  }

  get history(): Record<string, Point[]> {
    return Object.fromEntries(this.#history)
  }

  /** Reads again and again, until as many calls of what it returns as of itself. */
  watch(): () => void {
    this.#watchers++
    if (this.#watchers === 1) {
      this.#pause = new AbortController()
      for (const part of this.#parts) void this.#repeat(part, this.#pause.signal)
    }
    let isWatching = true
    return () => {
      if (!isWatching) return
      isWatching = false
      this.#watchers--
      if (this.#watchers > 0) return
      this.#pause.abort()
      this.#close()
    }
  }

  /** The state of every part, read now unless it is read anyway. */
  async now(): Promise<PartState[]> {
    try {
      return await Promise.all(
        this.#parts.map(async (part) => {
          const known = this.#watchers > 0 ? this.#states.get(part.name) : undefined
          return known ?? (await this.#read(part))
        }),
      )
    } finally {
      this.#close()
    }
  }

  /** Closes what the parts keep open, each after its reading has ended, unless someone looks by then. */
  #close(): void {
    for (const { name, close } of this.#parts) {
      const closing = () => {
        if (this.#watchers === 0) close?.()
      }
      void (this.#reading.get(name) ?? Promise.resolve()).then(closing)
    }
  }

  async #repeat(part: Part, signal: AbortSignal): Promise<void> {
    // What was drawn before nobody looked is not joined to what is drawn now.
    this.#draw(part.name, { atMs: Date.now(), traces: {} })
    while (!signal.aborted) {
      const state = await this.#read(part)
      if (signal.aborted) return
      const traces = part.traces && state.problem === null ? part.traces(state.data as never) : {}
      const point = { atMs: Date.now(), traces }
      if (part.traces) this.#draw(part.name, point)
      this.#publish(part.traces ? { ...state, point } : state)
      await delay(part.pauseMs, undefined, { signal }).catch(() => {
        // Nobody looks any more.
      })
    }
  }

  #draw(name: string, point: Point): void {
    const points = this.#history.get(name) ?? []
    if (points.length === 0 && Object.keys(point.traces).length === 0) return
    points.push(point)
    this.#history.set(name, points.slice(-KEPT_POINTS))
  }

  /** One reading at a time: who asks meanwhile gets its answer. */
  #read(part: Part): Promise<PartState> {
    const running = this.#reading.get(part.name)
    if (running) return running
    const reading = this.#readOnce(part).finally(() => this.#reading.delete(part.name))
    this.#reading.set(part.name, reading)
    return reading
  }

  async #readOnce({ name, read, timeoutMs }: Part): Promise<PartState> {
    let state: PartState
    try {
      const data = await inTime(read(), timeoutMs, `no answer within ${timeoutMs / 1000} s`)
      state = { name, atMs: Date.now(), data, problem: null }
    } catch (failure) {
      const { atMs = null, data = null } = this.#states.get(name) ?? {}
      state = { name, atMs, data, problem: problemOf(failure) }
    }
    this.#states.set(name, state)
    return state
  }
}

/** A failure in a sentence, and the command that helps. */
export function problemOf(failure: unknown): Problem {
  const [finding] = failure instanceof OpsError ? failure.findings : []
  if (finding) return { text: sentence(finding), hint: finding.hint }
  return { text: reason(failure).split('\n')[0]?.slice(0, 300) ?? '', hint: './scripts/health-check.mts' }
}
