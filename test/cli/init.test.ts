/** `atsss init`: what it proposes, asks and writes. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { afterAll, describe, expect, test } from 'vitest'
import { answersBy, type Given } from '../../lib/cli/init/questions.js'
import { configOf, interfaceLines, type Names, schemaFrom, suggested, textOf } from '../../lib/cli/init/suggestion.js'
import type { InterfaceKind } from '../../lib/runtime/network/interface-kind.js'
import type { Link, NetworkState } from '../../lib/runtime/network/link-monitor.js'
import { atsss } from './atsss.js'

const KINDS: Record<string, InterfaceKind> = {
  ...{ enx0: 'ethernet', wlp3s0: 'wifi', enp0s20f0u3: 'usb', wwan0: 'wwan', tun0: 'virtual', lo: 'virtual' },
}
const kindOf = (name: string) => KINDS[name]!

function network(...names: string[]): NetworkState {
  const links = names.map((name, index) => {
    const [, state] = name.split(' ')
    const addresses =
      state === undefined ? [{ family: 4, address: `192.0.2.${index}`, scope: 'global', tentative: false }] : []
    return [
      index,
      {
        index,
        name: name.split(' ')[0],
        up: state !== 'down',
        carrier: state === undefined,
        operstate: 'up',
        addresses,
      },
    ]
  })
  return { links: new Map(links as [number, Link][]), defaultRoutes: [] }
}

describe('the proposal goes by the kinds of interfaces', () => {
  test.each<[string, string[], Names]>([
    ['Wi-Fi and a phone', ['lo', 'wlp3s0', 'enp0s20f0u3'], { '3gpp': ['enp0s20f0u3'], 'non-3gpp': ['wlp3s0'] }],
    [
      'docked, or not: Ethernet comes first, also while its cable is unplugged',
      ['wlp3s0', 'enx0 unplugged', 'tun0', 'enp0s20f0u3'],
      { '3gpp': ['enp0s20f0u3'], 'non-3gpp': ['enx0', 'wlp3s0'] },
    ],
    [
      'a modem before a phone',
      ['enp0s20f0u3', 'wwan0 down', 'wlp3s0'],
      { '3gpp': ['wwan0', 'enp0s20f0u3'], 'non-3gpp': ['wlp3s0'] },
    ],
    ['none of them', ['lo', 'tun0'], { '3gpp': [], 'non-3gpp': [] }],
  ])('%s', (_name, names, expected) => {
    expect(suggested(network(...names), kindOf)).toEqual(expected)
  })

  test('what there is, in lines', () => {
    expect(interfaceLines(network('lo', 'wlp3s0', 'enx0 unplugged', 'wwan0 down'), kindOf)).toEqual([
      '  wlp3s0  Wi-Fi     192.0.2.1, no default route',
      '  enx0    Ethernet  no carrier',
      '  wwan0   a modem   down',
    ])
    expect(interfaceLines(network('lo'), kindOf)).toEqual([])
  })
})

describe('the questions', () => {
  const found = { '3gpp': ['enp0s20f0u3'], 'non-3gpp': ['enx0', 'wlp3s0'] }
  async function talk(answers: string[], there: Names = found, given: Given = {}) {
    const heard: string[] = []
    const ask = async (question: string) => {
      heard.push(question)
      return answers.shift() ?? ''
    }
    const result = await answersBy({ ask, say: text => heard.push(text) }, there, given)
    return { result, heard }
  }

  test('Enter takes what is proposed', async () => {
    const { result, heard } = await talk([])
    expect(result).toEqual({ accesses: found, converters: [], rules: 'handover' })
    expect(heard).toEqual([
      'Cellular: modem or phone (3gpp) [enp0s20f0u3]: ',
      'Ethernet or Wi-Fi (non-3gpp) [enx0,wlp3s0]: ',
      'Converter, ADDRESS:PORT [none]: ',
      'Rules: handover, interactive, aggregate [handover]: ',
    ])
  })

  test('answers count; one that cannot be is asked for again, with the reason', async () => {
    const { result, heard } = await talk([
      'wwan*',
      'wlan0,,',
      'wlan0',
      '192.0.2.1',
      '192.0.2.1:5124',
      'agregate',
      'aggregate',
    ])
    expect(result).toEqual({
      ...{ accesses: { '3gpp': ['wwan*'], 'non-3gpp': ['wlan0'] }, converters: ['192.0.2.1:5124'], rules: 'aggregate' },
    })
    expect(heard.filter(text => text.startsWith('  '))).toEqual([
      expect.stringMatching(/^ {2}not possible: accesses.non-3gpp\[1\]: must be/),
      expect.stringMatching(/^ {2}not possible: converters\[0\]: must be 'host:port'/),
      expect.stringMatching(/^ {2}not possible: rules: .*did you mean 'aggregate'/),
    ])
  })

  test('one interface is not both accesses; where one access is missing, both are chosen at the start, or named', async () => {
    const both = await talk(['wlp3s0', 'wlp3s0', ''])
    expect(both.heard[2]).toMatch(
      /^ {2}not possible: accesses: must name two interfaces: 'wlp3s0' is named for both accesses/,
    )
    expect(both.result.accesses).toEqual({ '3gpp': ['wlp3s0'], 'non-3gpp': ['enx0'] })
    const noPhone = { '3gpp': [], 'non-3gpp': ['wlp3s0'] }
    expect((await talk([''], noPhone)).result.accesses).toBe('auto')
    expect((await talk(['usb0'], noPhone)).result.accesses).toEqual({ '3gpp': ['usb0'], 'non-3gpp': ['wlp3s0'] })
    const named = await talk(['usb0', '', 'eth0'], { '3gpp': [], 'non-3gpp': [] })
    expect(named.result.accesses).toEqual({ '3gpp': ['usb0'], 'non-3gpp': ['eth0'] })
    expect(named.heard[2]).toMatch(/^ {2}not possible: accesses.non-3gpp: must be/)
  })

  test('what the command line says is not asked', async () => {
    const { heard } = await talk([], found, { accesses: 'auto', converters: ['192.0.2.1:5124'] })
    expect(heard).toEqual(['Rules: handover, interactive, aggregate [handover]: '])
  })
})

test('the schema, where the package is in or below the folder', () => {
  expect(schemaFrom('/app', '/app/node_modules/atsss/')).toBe('./node_modules/atsss/schema/atsss.json')
  expect(schemaFrom('/src/atsss', '/src/atsss/')).toBe('./schema/atsss.json')
  expect(schemaFrom('/app', '/usr/lib/node_modules/atsss/')).toBeUndefined()
})

test('what is written is valid by the schema, and reads as a person would write it', () => {
  const valid = new Ajv({ strict: false }).compile(JSON.parse(readFileSync('schema/atsss.json', 'utf8')))
  const accesses = { '3gpp': ['wwan0'], 'non-3gpp': ['eth0', 'wlan0'] }
  const config = configOf({ accesses, converters: ['192.0.2.1:5124'], rules: 'handover' }, './schema/atsss.json')
  for (const each of [config, configOf({ accesses: 'auto', converters: [], rules: 'aggregate' })]) {
    expect(valid(JSON.parse(textOf(each))), JSON.stringify(valid.errors)).toBe(true)
    expect(JSON.parse(textOf(each))).toEqual(each)
  }
  expect(textOf(config)).toBe(`{
  "$schema": "./schema/atsss.json",
  "accesses": { "3gpp": "wwan0", "non-3gpp": ["eth0", "wlan0"] },
  "converters": ["192.0.2.1:5124"],
  "rules": "handover",
  "watch": true
}
`)
})

describe('the command', () => {
  const folder = mkdtempSync(join(tmpdir(), 'atsss-init-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'atsss.json')
  const init = (...args: string[]) => atsss(['init', '--config', file, ...args])

  test('writes once; --force replaces; wrong words write nothing', async () => {
    const unasked = await init()
    expect([unasked.status, unasked.stderr.split('\n')[0]]).toEqual([
      ...[2, 'atsss init: standard input is not a terminal, so nothing can be asked: give --yes'],
    ])
    const wrong = await init('--yes', '--3gpp', 'usb0', '--non-3gpp', 'wlan0', '--converter', '192.0.2.1')
    expect(wrong.status).toBe(2)
    expect(wrong.stderr).toMatch(/^atsss init: --converter must be 'host:port'/)
    const auto = await init('--yes', '--auto')
    expect([auto.status, auto.stdout]).toEqual([
      0,
      expect.stringMatching(/^Written: .*\n[\s\S]*npx atsss doctor --config /),
    ])
    expect(auto.stdout).toContain('Without a converter only connections')
    const again = await init('--yes', '--auto', '--rules', 'aggregate')
    expect([again.status, again.stderr]).toEqual([1, `atsss init: ${file} exists already: --force replaces it\n`])
    expect(JSON.parse(readFileSync(file, 'utf8')).rules).toBe('handover')
    const forced = await init('--yes', '--force', '--auto', '--rules', 'aggregate')
    expect([forced.status, JSON.parse(readFileSync(file, 'utf8'))]).toEqual([
      ...[0, { accesses: 'auto', rules: 'aggregate', watch: true }],
    ])
    expect(statSync(file).mode & 0o777).toBe(0o644)
    writeFileSync(file, '{}')
  })

  test('takes what ATSSS_CONFIG names, as in the lab, and says that it hides the file; names what is not there', async () => {
    const names = { '3gpp': 'no-cell', 'non-3gpp': 'lo' }
    const ATSSS_CONFIG = JSON.stringify({ accesses: names, converters: '192.0.2.1:5124', rules: 'aggregate' })
    const { status, stderr } = await atsss(['init', '--yes', '--force', '--config', file], '', { ATSSS_CONFIG })
    expect(status).toBe(0)
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ accesses: names, converters: ['192.0.2.1:5124'] })
    expect(stderr).toContain('The accesses are proposed as ATSSS_CONFIG names them.')
    expect(stderr).toContain('Not there now: no-cell. ')
    expect(stderr).toContain(
      `ATSSS_CONFIG is set, and is used in place of this file: unset ATSSS_CONFIG, or use --config ${file}`,
    )
  })
})
