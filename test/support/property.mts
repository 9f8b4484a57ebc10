/** Property tests with the same random input in every run. PROPERTY_SEED=N selects other input. */
import fc from 'fast-check'

const SEED = Number(process.env.PROPERTY_SEED ?? 20_261_128)
process.stdout.write(`PROPERTY_SEED=${SEED}\n`)

/** Checks a property with `runs` inputs. @throws {Error} with the smallest failing input and the seed */
export function holds<T extends [unknown, ...unknown[]]>(property: fc.IProperty<T>, runs = 1000): void {
  fc.assert(property, { seed: SEED, numRuns: runs })
}

/** Generates text from a few tokens, such as the characters and keywords of a grammar. */
export const textOf = (pieces: readonly string[], maxLength = 20): fc.Arbitrary<string> =>
  fc.array(fc.constantFrom(...pieces), { maxLength }).map((parts) => parts.join(''))

/** Returns `count` values of an arbitrary, the same in every run. */
export const samplesOf = <T,>(arbitrary: fc.Arbitrary<T>, count: number): T[] =>
  fc.sample(arbitrary, { seed: SEED, numRuns: count })
