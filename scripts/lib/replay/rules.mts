/** The values that the ingest accepts, by type of field. */

/** A JSON number. */
export const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/

export interface Rule {
  accepts: (text: string) => boolean
  /** The values that the ingest also accepts as a JSON string; it accepts the others only as a JSON number. */
  asText: RegExp
  /** `word`: one of a few words or numbers. `decimal`: a number of which all digits are preserved. */
  kind: 'text' | 'decimal' | 'number' | 'word'
  /** Message values for other spellings, which are in lower case. */
  aliases?: Record<string, string>
}

export const word = (pattern: RegExp, aliases?: Record<string, string>): Rule => ({
  accepts: (text) => pattern.test(text),
  asText: pattern,
  kind: 'word',
  ...(aliases ? { aliases } : {}),
})

function whole(bits: bigint): Rule {
  const max = 2n ** bits - 1n
  const accepts = (text: string) => {
    const number = Number(text)
    // 100.0 and 1e2 are whole too. Numbers beyond the safe integers of a double must be plain digits.
    if (Number.isSafeInteger(number)) return NUMBER.test(text) && number >= 0 && number <= max
    return /^[1-9]\d*$/.test(text) && BigInt(text) <= max
  }
  return { accepts, asText: /^\d+$/, kind: 'number' }
}

export const text: Rule = { accepts: () => true, asText: /^/, kind: 'text' }
/** Decimal(18, 8): ten digits before the point. The ingest rounds to eight decimals, and rejects nonzero prices that round to 0. */
export const price: Rule = {
  accepts: (value) => {
    const number = Math.abs(Number(value))
    return NUMBER.test(value) && number < 1e10 && (number === 0 || number >= 5e-9)
  },
  asText: /^-?\d+(\.\d+)?$/,
  kind: 'decimal',
}
/** May have a fraction. At most 2^53, up to which a double represents every integer exactly. */
export const size: Rule = {
  accepts: (value) => NUMBER.test(value) && Number(value) >= 0 && Number(value) <= 2 ** 53,
  asText: /^\d+$/,
  kind: 'decimal',
}
export const uint16 = whole(16n)
export const uint32 = whole(32n)
export const uint64 = whole(64n)
/** A number, or a name such as NASDAQ. */
export const center: Rule = { accepts: () => true, asText: /^/, kind: 'number' }

/** 0 ask, 1 bid. */
export const side = word(/^([01]|ask|bid)$/i, { b: '1', buy: '1', a: '0', s: '0', sell: '0' })
/** 0 insert, 1 update, 2 delete; clear removes the whole book. */
export const operation = word(/^([0-2]|insert|update|delete|clear)$/i, { add: '0' })
export const correction = word(/^(none|insert|delete)$/i)
