/** What the ingest takes in a field, by its type. */

/** As JSON writes numbers. */
export const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/

export interface Rule {
  /** Whether the ingest can use a value. */
  takes: (text: string) => boolean
  /** What it reads as text too; all else that it takes, it reads only as a number. */
  asText: RegExp
  /** Of letters and digits, or a number that keeps all its digits. */
  kind: 'text' | 'decimal' | 'number' | 'word'
  /** Other ways to write a value, in lower case, and how the message has it. */
  means?: Record<string, string>
}

/** One of few words or numbers. */
export const word = (pattern: RegExp, means?: Record<string, string>): Rule => ({
  takes: (text) => pattern.test(text),
  asText: pattern,
  kind: 'word',
  ...(means ? { means } : {}),
})

function whole(bits: bigint): Rule {
  const max = 2n ** bits - 1n
  const takes = (text: string) => {
    const number = Number(text)
    // 100.0 and 1e2 are whole too; a number beyond what a double holds is one by its digits.
    if (Number.isSafeInteger(number)) return NUMBER.test(text) && number >= 0 && number <= max
    return /^[1-9]\d*$/.test(text) && BigInt(text) <= max
  }
  return { takes, asText: /^\d+$/, kind: 'number' }
}

/** Any text. */
export const text: Rule = { takes: () => true, asText: /^/, kind: 'text' }
/** Decimal(18, 8): ten digits before the point; the ingest rounds what is behind the eighth, and rejects what that makes 0. */
export const price: Rule = {
  takes: (value) => {
    const number = Math.abs(Number(value))
    return NUMBER.test(value) && number < 1e10 && (number === 0 || number >= 5e-9)
  },
  asText: /^-?\d+(\.\d+)?$/,
  kind: 'decimal',
}
/** With a fraction where there is one. A double holds every whole number up to 2^53. */
export const size: Rule = {
  takes: (value) => NUMBER.test(value) && Number(value) >= 0 && Number(value) <= 2 ** 53,
  asText: /^\d+$/,
  kind: 'decimal',
}
export const uint16 = whole(16n)
export const uint32 = whole(32n)
export const uint64 = whole(64n)
/** A number, or a name such as NASDAQ. */
export const center: Rule = { takes: () => true, asText: /^/, kind: 'number' }

/** 0 ask, 1 bid. */
export const side = word(/^([01]|ask|bid)$/i, { b: '1', buy: '1', a: '0', s: '0', sell: '0' })
/** 0 insert, 1 update, 2 delete; clear is of the whole book. */
export const operation = word(/^([0-2]|insert|update|delete|clear)$/i, { add: '0' })
/** Of a trade. */
export const correction = word(/^(none|insert|delete)$/i)
