import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { stringify } from 'yaml'
import { readSettings } from '../../scripts/lib/settings/settings.mts'
import { metricName, parseTopicsFile } from '../../scripts/lib/topics/file.mts'
import { holds, textOf } from '../support/property.mts'

const settings = { ...readSettings({}), REDIS_PASSWORD: 'hunter2' }
const parse = (content: string) => parseTopicsFile(content, 'topics.yml', settings)

const name = fc.stringMatching(/^[A-Za-z0-9._-]{1,20}$/).filter((text) => !/^\.{1,2}$/.test(text))
const hours = fc.oneof(fc.integer({ min: 1, max: 876_000 }), fc.constantFrom(0.001, 0.5, 1.25))
const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
const topic = fc.record(
  {
    name,
    partitions: fc.integer({ min: 1, max: 10_000 }),
    replication: fc.integer({ min: 1, max: 32_767 }),
    key: text,
    retentionHours: hours,
    segmentHours: hours,
    config: fc.dictionary(fc.constantFrom('cleanup.policy', 'max.message.bytes', 'é'), text),
  },
  { requiredKeys: ['name', 'partitions', 'replication'] },
)
const topics = fc.uniqueArray(topic, { maxLength: 4, selector: (each) => metricName(each.name) })

const files = suite('topics.yml')

files('returns what was written, in any YAML style', () => {
  const styles = fc.record({
    defaultStringType: fc.constantFrom('PLAIN' as const, 'QUOTE_DOUBLE' as const, 'QUOTE_SINGLE' as const),
    collectionStyle: fc.constantFrom('any' as const, 'flow' as const),
    indentSeq: fc.boolean(),
  })
  holds(
    fc.property(topics, styles, (declared, style) => {
      const dollars = (each: string) => each.replaceAll('$', '$$$$')
      const written = declared.map(({ key, config, ...each }) => ({
        ...each,
        ...(key === undefined ? {} : { key: dollars(key) }),
        ...(config && {
          config: Object.fromEntries(Object.entries(config).map(([at, value]) => [at, dollars(value)])),
        }),
      }))
      const found = parse(stringify({ topics: written }, style))
      assert.equal(found.mistakes, [])
      const ms = (value: number | undefined) => (value === undefined ? [] : String(Math.round(value * 3_600_000)))
      assert.equal(
        found.topics.map(({ at: _, config, ...each }) => ({ ...each, config: Object.entries(config).sort() })),
        declared.map(({ retentionHours, segmentHours, config, ...each }) => ({
          ...each,
          config: [
            ...Object.entries(config ?? {}),
            ...(retentionHours === undefined ? [] : [['retention.ms', ms(retentionHours)]]),
            ...(segmentHours === undefined ? [] : [['segment.ms', ms(segmentHours)]]),
          ].sort(),
        })),
      )
    }),
    500,
  )
})

const PIECES = [
  'topics:',
  '\n',
  '\n  ',
  '- ',
  '{',
  '}',
  '[',
  ']',
  ', ',
  'name: ',
  'partitions: ',
  'replication: ',
  'config: ',
  'a',
  '1',
  ': ',
  '? ',
  '&x ',
  '*x',
  '!!int ',
  '!x ',
  '"',
  "'",
  '|\n',
  '# ',
  '<<: ',
  '${KAFKA_HEAP}',
  '${',
  '}',
  '\t',
  '---\n',
  '%',
  '@',
]
const SOUND = 'topics:\n  - name: a.b\n    partitions: 3\n    replication: 1\n    config: { x: 1 }\n'

files('with any text is read, or refused with existing lines and columns', () => {
  const mutated = fc
    .tuple(fc.nat(SOUND.length), fc.nat(9), textOf(PIECES, 4))
    .map(([at, length, text]) => SOUND.slice(0, at) + text + SOUND.slice(at + length))
  holds(
    fc.property(fc.oneof(textOf(PIECES, 25), mutated), (content) => {
      const { topics, mistakes } = parse(content)
      const lines = content.split('\n')
      for (const { subject, hint } of mistakes) {
        const [, line, column] = /^topics\.yml:(\d+):(\d+)(?: |$)/.exec(subject)?.map(Number) ?? []
        assert.ok(line && column && line <= lines.length && column <= (lines[line - 1]?.length ?? 0) + 1, subject)
        assert.is(hint, `edit topics.yml, line ${line}`)
      }
      if (mistakes.length > 0) return
      for (const { name, partitions, replication, config } of topics) {
        assert.match(name, /^[\w.-]{1,249}$/)
        assert.ok(partitions >= 1 && replication >= 1)
        for (const value of Object.values(config)) assert.type(value, 'string')
      }
    }),
    2000,
  )
})

files('shows no misplaced text and no password', () => {
  const secret = fc.constantFrom(
    'S3cr3t',
    '${REDIS_PASSWORD}',
    '[S3cr3t]',
    '{ S3cr3t: 1 }',
    '"${S3cr3t x}"',
    '"${NO:?S3cr3t}"',
    '"S3cr3t',
    '!S3cr3t x',
    '*S3cr3t',
  )
  const place = fc.constantFrom(
    'topics: ',
    'topics:\n  - ',
    'topics:\n  - { name: a, partitions: 1, replication: 1, config: ',
    'topics:\n  - { name: a, partitions: 1, replication: 1, config: { x: ',
  )
  holds(
    fc.property(place, secret, (place, secret) => {
      fc.pre(!(secret.startsWith('{') && /config: $|- $/.test(place)))
      const found = parse(place + secret + (place.match(/\{/g) ?? []).map(() => ' }').join('')).mistakes.map(
        ({ found }) => found,
      )
      assert.not.match(found.join(' '), /S3cr3t|hunter2/)
    }),
  )
})
files.run()
