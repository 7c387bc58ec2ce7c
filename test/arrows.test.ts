import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect, test } from 'vitest'

/**
 * Each room, and the rooms that its files may import beside their own. `a/*` is every room of the floor `a`.
 * Import circles between files are for Biome (`noImportCycles`).
 */
const MAY_IMPORT: Record<string, readonly string[]> = {
  errors: [],
  'wire/bytes': ['errors'],
  'wire/kernel': ['errors', 'wire/bytes'],
  'wire/convert': ['errors', 'wire/bytes'],
  'wire/atsss': ['errors', 'wire/bytes'],
  'wire/netlink': ['errors', 'wire/bytes'],
  'wire/pcp': ['errors', 'wire/bytes'],
  wire: ['errors', 'wire/*'],
  input: ['errors', 'wire/*'],
  'policy/rules': ['errors', 'input', 'wire/*'],
  'policy/steering': ['errors', 'input', 'wire/*', 'policy/rules'],
  'policy/connect': ['errors', 'input', 'wire/*'],
  'policy/pcp': ['errors', 'input', 'wire/*'],
  'runtime/kernel': ['errors', 'input', 'wire/*'],
  'runtime/network': ['errors', 'input', 'wire/*', 'policy/*', 'runtime/kernel'],
  'runtime/stream': ['errors', 'input', 'wire/*', 'runtime/kernel'],
  // These three do not touch each other.
  'runtime/connect': ['errors', 'input', 'wire/*', 'policy/*', 'runtime/kernel', 'runtime/network'],
  'runtime/steering': ['errors', 'input', 'wire/*', 'policy/*', 'runtime/kernel', 'runtime/network'],
  'runtime/incoming': ['errors', 'input', 'wire/*', 'policy/*', 'runtime/kernel', 'runtime/network'],
  'runtime/watch': ['errors', 'input', 'wire/*', 'policy/*', 'runtime/*'],
  socket: ['errors', 'input', 'wire/*', 'policy/*', 'runtime/*'],
  session: ['errors', 'input', 'wire/*', 'policy/*', 'runtime/*', 'socket'],
  agents: ['errors', 'input', 'wire/*', 'policy/*', 'runtime/*', 'socket', 'session'],
  prometheus: ['errors', 'input', 'wire/*', 'policy/*', 'runtime/*', 'socket', 'session'],
  index: ['errors', 'input', 'wire/*', 'policy/*', 'runtime/*', 'socket', 'session'],
  // These stand beside the front door: nothing in it imports them.
  lab: ['errors', 'input', 'wire/*'],
  preload: ['errors', 'input', 'wire/*', 'policy/*', 'runtime/*', 'socket', 'session', 'agents', 'index'],
  'converter/options': ['errors', 'input', 'wire/*'],
  'converter/relay': ['errors', 'input', 'wire/*', 'runtime/kernel', 'runtime/stream', 'converter/options'],
  'converter/outgoing': ['errors', 'input', 'wire/*', 'runtime/kernel', 'converter/options', 'converter/relay'],
  'converter/pcp': ['errors', 'input', 'wire/*', 'runtime/kernel', 'converter/options', 'converter/relay'],
  'converter/incoming': [
    ...['errors', 'input', 'wire/*', 'runtime/kernel', 'runtime/network'],
    ...['converter/options', 'converter/relay', 'converter/outgoing', 'converter/pcp'],
  ],
  'converter/workers': [
    ...['errors', 'input', 'wire/*', 'runtime/kernel'],
    ...['converter/options', 'converter/relay', 'converter/outgoing'],
  ],
  converter: ['errors', 'input', 'wire/*', 'runtime/kernel', 'converter/*'],
  cli: [
    ...['errors', 'input', 'wire/*', 'policy/*', 'runtime/*', 'socket', 'session', 'agents', 'index'],
    ...['converter', 'converter/*', 'lab', 'preload'],
  ],
}

const FLOORS = ['wire', 'policy', 'runtime', 'converter']

/** `wire/bytes/cursor.ts` is in `wire/bytes`, `wire/index.ts` in `wire`, `cli/watch/words.ts` in `cli`. */
function room(file: string): string {
  const [first, second, ...rest] = file.replace(/\.[jt]s$/, '').split('/')
  return FLOORS.includes(first!) && rest.length > 0 ? `${first}/${second}` : first!
}

const allowed = (from: string): readonly string[] =>
  MAY_IMPORT[from] ?? expect.fail(`"${from}" is no room of the table`)
const mayImport = (from: string, to: string) =>
  from === to || allowed(from).some(name => name === to || (name.endsWith('/*') && to.startsWith(name.slice(0, -1))))

const files = (readdirSync('lib', { recursive: true }) as string[]).filter(file => file.endsWith('.ts'))

const IMPORT = /(?:\bfrom|^import|\bimport\(|\brequire\()\s*['"]([^'"]+)['"]/gm

test.each(files)('lib/%s imports only what its room may', file => {
  const here = room(file)
  allowed(here)
  for (const [, path] of readFileSync(join('lib', file), 'utf8').matchAll(IMPORT)) {
    if (!path!.startsWith('.')) continue
    const there = room(normalize(join(dirname(file), path!)))
    if (!mayImport(here, there)) expect.fail(`lib/${file} (${here}) imports ${path} (${there})`)
  }
})

test('the table of rooms has no circle: each room may import only rooms that stand before it', () => {
  const rooms = Object.keys(MAY_IMPORT)
  const back = (here: string, index: number) => rooms.slice(index + 1).filter(there => mayImport(here, there))
  expect(rooms.flatMap((here, index) => back(here, index).map(there => `${here} → ${there}`))).toEqual([])
})

test('only runtime/kernel/native.ts loads the addon', () => {
  const loads = /require\(|dlopen|\.node['"`]/
  expect(files.filter(file => loads.test(readFileSync(join('lib', file), 'utf8')))).toEqual([
    'runtime/kernel/native.ts',
  ])
})

test('the listing is the map', () => {
  // A path manager is what the kernel calls what makes subflows (RFC 8684 §3); the steering helper is a program.
  const named = files.map(file => file.replace(/path-manager|steering-helper/g, ''))
  expect(named.filter(file => /util|common|helper|manager/i.test(file))).toEqual([])
})
