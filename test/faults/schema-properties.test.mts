import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseCreate, splitOutside } from '../../scripts/lib/schema/ddl.mts'
import { holds, textOf } from '../support/property.mts'

const PIECES = ['a', ' ', ', ', "'", '`', '\\', '(', ')', '[', ']', '{', '}', '--']

const splitting = suite('splitOutside')

splitting('loses nothing of any text', () => {
  holds(
    fc.property(textOf(PIECES), (text) => assert.is(splitOutside(text, ', ').join(', '), text)),
    3000,
  )
})

/** Text in which the separator occurs only inside quotes and brackets. */
const whole = fc.letrec<{ text: string; piece: string }>((tie) => ({
  text: fc.array(tie('piece'), { maxLength: 3 }).map((pieces) => pieces.join('')),
  piece: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom('a', ' ', '1', '.'),
    fc.string().map((text) => `'${text.replace(/['\\]/g, '\\$&')}'`),
    fc.constantFrom('`a, b`', '`(`'),
    fc
      .tuple(tie('text'), tie('text'), fc.constantFrom('()', '[]', '{}'))
      .map(([a, b, [open, close]]) => `${open}${a}, ${b}${close}`),
  ),
})).text

splitting('splits only at separators outside quotes and brackets', () => {
  holds(
    fc.property(fc.array(whole, { minLength: 1, maxLength: 5 }), (parts) =>
      assert.equal(splitOutside(parts.join(', '), ', '), parts),
    ),
    2000,
  )
})
splitting.run()

const name = fc.stringMatching(/^[a-z_][a-z0-9_]{0,8}$/)
const literal = fc.string({ maxLength: 8 }).map((text) => `'${text.replace(/['\\]/g, '\\$&')}'`)
const type = fc.constantFrom(
  'String',
  'UInt8',
  "DateTime64(6, 'UTC')",
  'LowCardinality(String)',
  "Enum8('a, b' = 0, '(' = 1)",
  'Decimal(18, 8)',
)
const value = fc.oneof(
  fc.constant(''),
  literal.map((text) => `DEFAULT ${text}`),
  fc.constantFrom('ALIAS toDate(a)', "MATERIALIZED concat('CODEC(', a)", "DEFAULT ' COMMENT '"),
)
const codec = fc.constantFrom('', 'CODEC(ZSTD(3))', 'CODEC(Delta, LZ4)')
const column = fc.record({ name, type, value, codec })
const table = fc.record({
  name,
  columns: fc.uniqueArray(column, { minLength: 1, maxLength: 5, selector: (each) => each.name }),
  engine: fc.constantFrom('MergeTree', 'ReplacingMergeTree(a)', 'Null'),
  partition: fc.constantFrom('', 'toDate(a)', '(a, b)'),
  order: fc.constantFrom('a', '(a, b)', "(a, 'ORDER BY ')"),
  settings: fc.dictionary(name, fc.oneof(fc.nat().map(String), literal), { maxKeys: 3 }),
})

const creating = suite('parseCreate')

creating('returns the parts of every table', () => {
  holds(
    fc.property(table, fc.boolean(), ({ name, columns, engine, partition, order, settings }, qualified) => {
      const list = columns
        .map((each) => [each.name, each.type, each.value, each.codec].filter(Boolean).join(' '))
        .join(', ')
      const set = Object.entries(settings).map((pair) => pair.join(' = '))
      const text = `CREATE TABLE ${qualified ? 'db.' : 'IF NOT EXISTS '}${name} (${list}) ENGINE = ${engine}${partition && ` PARTITION BY ${partition}`} ORDER BY ${order}${set.length > 0 ? ` SETTINGS ${set.join(', ')}` : ''}`
      const found = parseCreate(text, 'db')
      assert.equal(found, {
        kind: 'table',
        name,
        columns: new Map(columns.map(({ name, type, value, codec }) => [name, { type, value, codec }])),
        parts: new Map(),
        layout: { engine, partition, 'primary key': order, order },
        replication: '',
        ttl: '',
        recompression: '',
        settings: new Map(Object.entries(settings)),
      })
    }),
    2000,
  )
})

creating('of any text returns an object, or refuses a statement of another kind', () => {
  const pieces = [
    ...PIECES,
    'ENGINE = ',
    'ORDER BY ',
    'TTL ',
    'SETTINGS ',
    'COMMENT ',
    'AS SELECT ',
    'DEFAULT ',
    'CODEC(',
    'INDEX ',
    'DEFINER = x SQL SECURITY DEFINER',
    ' = ',
    'db.',
  ]
  const start = fc.constantFrom(
    'CREATE TABLE a ',
    'CREATE TABLE IF NOT EXISTS a (',
    'CREATE VIEW a ',
    'CREATE MATERIALIZED VIEW db.a ',
    'CREATE ',
    '',
  )
  holds(
    fc.property(start, textOf(pieces, 12), (start, text) => {
      try {
        assert.type(parseCreate(start + text, 'db'), 'object')
      } catch (error) {
        assert.instance(error, SyntaxError)
      }
    }),
    5000,
  )
})
creating.run()
