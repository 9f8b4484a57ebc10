import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseFlags } from '../../scripts/lib/command/flags.mts'
import { OpsError } from '../../scripts/lib/common/findings.mts'
import { groupsRequest, OPTIONS } from '../../scripts/lib/groups/options.mts'

const SPEC = { name: './scripts/consumer-groups.mts', options: OPTIONS, arguments: { value: '[reset]', help: '' } }
const read = (argv: string[]) => {
  const { options, args } = parseFlags(SPEC, argv)
  return groupsRequest(options, args, { json: options.json, nowMs: 7_200_000 })
}

const SHOW = { kind: 'show', group: undefined, watch: false, intervalMs: 2_000, timeoutMs: 30_000 }
const RESET = {
  kind: 'reset',
  group: 'g',
  to: { kind: 'earliest' },
  toText: 'earliest',
  topics: [],
  yes: false,
  dryRun: false,
  timeoutMs: 30_000,
}

const asked = suite('groupsRequest')

const GOOD: [string[], object][] = [
  [[], SHOW],
  [['--group', 'g', '--watch', '--interval', '0.5'], { ...SHOW, group: 'g', watch: true, intervalMs: 500 }],
  [['--json'], SHOW],
  [['reset', '--group', 'g', '--to', 'earliest'], RESET],
  [
    ['reset', '--to', '-1h', '--group', 'g', '--yes'],
    { ...RESET, to: { kind: 'time', timeMs: 3_600_000 }, toText: '-1h', yes: true },
  ],
  [
    ['reset', '--group', 'g', '--topic', 't', 'u', '--to', '5', '--dry-run', '--timeout', '5'],
    { ...RESET, topics: ['t', 'u'], to: { kind: 'offset', offset: 5 }, toText: '5', dryRun: true, timeoutMs: 5_000 },
  ],
]
for (const [argv, expected] of GOOD)
  asked(`reads ${argv.join(' ') || 'no arguments'}`, () => assert.equal(read(argv), expected))

const PLACES = 'earliest, latest, an offset such as 42, a time such as 2026-11-23T14:30, or an age such as -5m'
const BAD: [string[], string][] = [
  [['rest'], 'argument: found "rest", expected reset, or none'],
  [['reset', 'g', '--group', 'g', '--to', '0'], 'argument: found "reset g", expected reset, or none'],
  [['--to', '0'], '--to: found without reset, expected with it'],
  [
    ['--yes', '--dry-run'],
    '--dry-run: found without reset, expected with it\n--yes: found without reset, expected with it',
  ],
  [['--watch', '--json'], '--watch --json: found together, expected one of them'],
  [['reset'], `--group: found none, expected the group to reset\n--to: found none, expected ${PLACES}`],
  [['reset', '--group', 'g', '--to', 'begin'], `--to: found "begin", expected ${PLACES}`],
  [['reset', '--group', 'g', '--to', '0', '--watch'], '--watch: found with reset, expected without it'],
]
for (const [argv, expected] of BAD) {
  asked(`refuses ${argv.join(' ')}`, () => {
    assert.throws(
      () => read(argv),
      (failure: unknown) => failure instanceof OpsError && failure.exitCode === 2 && failure.message === expected,
    )
  })
}

asked.run()
