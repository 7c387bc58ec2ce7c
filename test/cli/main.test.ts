import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { COMMANDS } from '../../lib/cli/commands.js'
import { coloursFor, progress } from '../../lib/cli/terminal.js'
import { atsss } from './atsss.js'

const names = Object.keys(COMMANDS)
const page = readFileSync('docs/cli.md', 'utf8')

test.each(names)('%s: --help has examples and exit statuses, and docs/cli.md a row', async name => {
  const { help } = await COMMANDS[name]!.load()
  expect(help.split('\n')[0]).toMatch(new RegExp(`^Usage: atsss ${name}\\b`))
  expect(help).toMatch(new RegExp(`^Examples?:\\n( {2}.*\\n)*? {2}atsss ${name}\\b`, 'm'))
  expect(help).toMatch(/^Exit status: /m)
  expect(help.split('\n').filter(line => line.length > 120)).toEqual([])
  expect(page).toMatch(new RegExp(`^\\| \\[?\`${name}\``, 'm'))
})

test('atsss --help lists every command; help NAME is NAME --help', async () => {
  const [all, one, other] = [await atsss(['--help']), await atsss(['help', names[0]!]), await atsss([names[0]!, '-h'])]
  expect([all.status, one.status, other.status]).toEqual([0, 0, 0])
  for (const name of names) expect(all.stdout).toMatch(new RegExp(`^ {2}${name} `, 'm'))
  expect(one.stdout).toBe((await COMMANDS[names[0]!]!.load()).help)
  expect(other.stdout).toBe(one.stdout)
}, 15_000)

test('help for no command is a wrong command line', async () => {
  const { status, stderr, stdout } = await atsss(['help', 'converte'])
  expect([status, stdout]).toEqual([2, ''])
  expect(stderr).toBe('atsss: unknown command converte; did you mean converter?\nSee atsss --help\n')
})

test('colours: on a terminal, but not with NO_COLOR', () => {
  const terminal = { isTTY: true }
  const before = { ...process.env }
  try {
    process.env.TERM = 'xterm'
    delete process.env.NO_COLOR
    expect(coloursFor(terminal).bad('no')).toBe('\x1b[31mno\x1b[39m')
    expect(coloursFor({}).bad('no')).toBe('no')
    process.env.NO_COLOR = '1'
    expect(coloursFor(terminal).bad('no')).toBe('no')
  } finally {
    process.env = before
  }
})

describe('progress, of things that take long altogether', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())
  const watched = (isTTY: boolean) => {
    const written: string[] = []
    const stream = { isTTY, write: (text: string) => written.push(text) } as unknown as NodeJS.WriteStream
    return { written, busy: progress(stream) }
  }

  test('nothing before two seconds, however many things there are; then a line for each', () => {
    const { written, busy } = watched(false)
    for (const what of ['one', 'two', 'three']) {
      busy.say(what)
      vi.advanceTimersByTime(900)
    }
    busy.say('four')
    expect(written).toEqual(['three …\n', 'four …\n'])
    busy.end()
    busy.say('five')
    vi.advanceTimersByTime(1900)
    busy.end()
    vi.advanceTimersByTime(5000)
    expect(written).toHaveLength(2)
  })

  test('on a terminal one line, which is wiped', () => {
    const { written, busy } = watched(true)
    busy.say('one')
    vi.advanceTimersByTime(2000)
    busy.say('two')
    busy.end()
    expect(written).toEqual(['\r\x1b[Kone …', '\r\x1b[Ktwo …', '\r\x1b[K'])
  })
})
