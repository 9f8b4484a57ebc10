/** Samples the parts of the page while it is open. Each part has its own interval, deadline and age. */
import { setTimeout as delay } from 'node:timers/promises'
import { OpsError, reason, sentence } from '../common/findings.mts'
import { inTime } from '../common/wait.mts'

/** The values of all series at one moment, by chart and series. */
export type Traces = Record<string, Record<string, number>>

export interface Part {
  name: string
  /** Pause between two reads in ms. */
  pauseMs: number
  timeoutMs: number
  read: () => Promise<unknown>
  /** Extracts the values to draw. */
  traces?: (data: never) => Traces
  /** Called when the last watcher is gone. */
  close?: () => void
}

export interface Problem {
  text: string
  hint: string
}

export interface PartState {
  name: string
  /** When `data` was read, in ms since 1970; null if never. */
  atMs: number | null
  /** The last data read; may be older than `problem`. */
  data: unknown
  /** Why the last read failed; null if it succeeded. */
  problem: Problem | null
  /** The values to draw; empty if the last read failed. */
  point?: Point
}

export interface Point {
  atMs: number
  traces: Traces
}

/** Number of points retained: ten minutes of a part that is read every 2 s. */
const MAX_POINTS = 300

export class Sampler {
  readonly #parts: readonly Part[]
  readonly #states = new Map<string, PartState>()
  readonly #history = new Map<string, Point[]>()
  readonly #reading = new Map<string, Promise<PartState>>()
  readonly #publish: (state: PartState) => void
  #watchers = 0
  #pause = new AbortController()

  /** @param publish called with the state of a part after each read */
  constructor(parts: readonly Part[], publish: (state: PartState) => void) {
    this.#parts = parts
    this.#publish = publish
  }

  /** The last state of each part that has been read. */
  get states(): PartState[] {
    return this.#parts.flatMap(({ name }) => this.#states.get(name) ?? [])
  }

  /** The points of each part that has charts. */
  get history(): Record<string, Point[]> {
    return Object.fromEntries(this.#history)
  }

  /** Reads all parts periodically until every watcher has called the function that this returns. */
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

  /** Returns the state of every part: the last one while someone watches, else read now. */
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

  /** Closes each part after its current read, unless there is a watcher again by then. */
  #close(): void {
    for (const { name, close } of this.#parts) {
      const closing = () => {
        if (this.#watchers === 0) close?.()
      }
      void (this.#reading.get(name) ?? Promise.resolve()).then(closing)
    }
  }

  async #repeat(part: Part, signal: AbortSignal): Promise<void> {
    // An empty point makes a gap in the chart for the time without watchers.
    this.#draw(part.name, { atMs: Date.now(), traces: {} })
    while (!signal.aborted) {
      const state = await this.#read(part)
      if (signal.aborted) return
      const traces = part.traces && state.problem === null ? part.traces(state.data as never) : {}
      const point = { atMs: Date.now(), traces }
      if (part.traces) this.#draw(part.name, point)
      this.#publish(part.traces ? { ...state, point } : state)
      await delay(part.pauseMs, undefined, { signal }).catch(() => {
        // The last watcher is gone.
      })
    }
  }

  #draw(name: string, point: Point): void {
    const points = this.#history.get(name) ?? []
    if (points.length === 0 && Object.keys(point.traces).length === 0) return
    points.push(point)
    this.#history.set(name, points.slice(-MAX_POINTS))
  }

  /** Reads a part, or joins a read in progress. */
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

/** Describes a failure in one sentence, with the command that helps. */
export function problemOf(failure: unknown): Problem {
  const [finding] = failure instanceof OpsError ? failure.findings : []
  if (finding) return { text: sentence(finding), hint: finding.hint }
  return { text: reason(failure).split('\n')[0]?.slice(0, 300) ?? '', hint: './scripts/health-check.mts' }
}
