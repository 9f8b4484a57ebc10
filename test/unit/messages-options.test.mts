import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseFlags } from '../../scripts/lib/command/flags.mts'
import { OpsError } from '../../scripts/lib/common/findings.mts'
import { OPTIONS, tailRequest } from '../../scripts/lib/messages/options.mts'

const SPEC = { name: './scripts/tail-topic.mts', options: OPTIONS, arguments: { value: 'TOPIC', help: 'the topic' } }
const read = (argv: string[]) => {
  const { options, args } = parseFlags(SPEC, argv)
  return tailRequest(options, args, 600_000)
}

const DEFAULTS = {
  topic: 't',
  last: 10,
  from: undefined,
  follow: false,
  partition: undefined,
  key: undefined,
  where: undefined,
  timeoutMs: 30_000,
}

const request = suite('tailRequest')

const GOOD: [string[], object][] = [
  [['t'], {}],
  [['t', '-n', '3'], { last: 3 }],
  [['-n5', 't'], { last: 5 }],
  [['t', '--last=0', '-f'], { last: 0, follow: true }],
  [['t', '--from', '-5m'], { from: { kind: 'time', timeMs: 300_000 } }],
  [['t', '--from=42', '--partition', '0'], { from: { kind: 'offset', offset: 42 }, partition: 0 }],
  [
    ['t', '--key', 'A B', '--where', 'a=b,c', '--follow'],
    { key: 'A B', where: { field: 'a', value: 'b,c' }, follow: true },
  ],
  [['t', '--timeout', '1.5'], { timeoutMs: 1_500 }],
]
for (const [argv, expected] of GOOD) {
  request(`reads ${argv.join(' ')}`, () => assert.equal(read(argv), { ...DEFAULTS, ...expected }))
}

const BAD: [string[], string][] = [
  [[], 'TOPIC: found none, expected one topic'],
  [['t', 'u'], 'TOPIC: found t u, expected one topic'],
  [['t', '-n', '1.5'], '-n: found "1.5", expected an integer from 0 to 10000'],
  [['t', '-n', '10001'], '-n: found "10001", expected an integer from 0 to 10000'],
  [['t', '-x'], '-x: unknown flag'],
  [['t', '--partition', '-1'], '--partition: found "-1", expected an integer from 0 to 1000000'],
  [['t', '-n', '1', '--from', '0'], '--last --from: found together, expected one of them'],
  [['t', '--where', 'symbol'], '--where: found "symbol", expected FIELD=VALUE, such as symbol=AAPL'],
  [
    ['t', '--from', 'yesterday'],
    '--from: found "yesterday", expected earliest, latest, an offset such as 42, a time such as 2026-11-23T14:30, or an age such as -5m',
  ],
]
for (const [argv, expected] of BAD) {
  request(`refuses ${argv.join(' ') || 'no arguments'}`, () => {
    assert.throws(
      () => read(argv),
      (failure: unknown) => failure instanceof OpsError && failure.exitCode === 2 && failure.message === expected,
    )
  })
}

request.run()
