import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, normalize } from 'node:path'
import { expect, test } from 'vitest'

/** The rooms from the ground up: each may import itself and what stands before it. The errors know the wire's types. */
const ROOMS = ['wire', 'errors', 'checks', 'options', 'policy', 'runtime', 'door']
/** They stand beside the door: nobody in it imports them. */
const BESIDE: Record<string, string[]> = { converter: [], lab: [], preload: [], cli: ['converter', 'lab', 'preload'] }

/** The files at the top are the front door, but for those that all may import. */
const room = (file: string) => {
  if (file.includes('/')) return file.split('/')[0]!
  const name = basename(file).replace(/\.[jt]s$/, '')
  return ROOMS.includes(name) ? name : 'door'
}

const allowed = (from: string) =>
  from in BESIDE ? [...ROOMS, from, ...BESIDE[from]!] : ['errors', ...ROOMS.slice(0, ROOMS.indexOf(from) + 1)]

const files = (readdirSync('lib', { recursive: true }) as string[]).filter(file => file.endsWith('.ts'))

const IMPORT = /(?:\bfrom|^import|\bimport\(|\brequire\()\s*['"]([^'"]+)['"]/gm

test.each(files)('lib/%s imports only what lies below it', file => {
  const imports = readFileSync(join('lib', file), 'utf8').matchAll(IMPORT)
  for (const [, path] of imports)
    if (path!.startsWith('.'))
      expect(allowed(room(file)), `imports ${path}`).toContain(room(normalize(join(dirname(file), path!))))
})

test('only runtime/kernel/native.ts loads the addon', () => {
  const loads = /require\(|dlopen|\.node['"`]/
  expect(files.filter(file => loads.test(readFileSync(join('lib', file), 'utf8')))).toEqual([
    'runtime/kernel/native.ts',
  ])
})

test('the listing is the map', () => {
  // A path manager is what the kernel calls what makes subflows (RFC 8684 §3).
  const named = files.map(file => file.replace('path-manager', ''))
  expect(named.filter(file => /util|common|helper|manager/i.test(file))).toEqual([])
  expect(files.filter(file => readFileSync(join('lib', file), 'utf8').split('\n').length > 330)).toEqual([])
})
