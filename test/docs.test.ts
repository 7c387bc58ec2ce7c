import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { parseRules } from '../lib/policy/rules/json.js'

const root = join(import.meta.dirname, '..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const pages = [
  'README.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'examples/README.md',
  ...readdirSync(join(root, 'docs')).map(name => `docs/${name}`),
]

test('every error code has a heading in docs/errors.md, and no heading is for a code that is gone', () => {
  const found = [...read('lib/errors.ts').matchAll(/^ {2}\| '(ERR_\w+)'/gm)].map(match => match[1])
  const codes = [...new Set(found)]
  const headings = [...read('docs/errors.md').matchAll(/^## (ERR_\w+)$/gm)].map(match => match[1])
  expect(codes.length).toBeGreaterThan(10)
  expect(headings.sort()).toEqual(codes.sort())
})

test('every option of connect() has a heading in docs/options.md, and no heading is for one that is gone', () => {
  const [, body] = /export interface MptcpOptions \{\n([\s\S]*?)\n\}/.exec(read('lib/input/options.ts')) ?? []
  const names = [...(body ?? '').matchAll(/^ {2}(\w+)\?:/gm)].map(match => match[1])
  const headings = [...read('docs/options.md').matchAll(/^## (\w+)$/gm)].map(match => match[1])
  expect(names.length).toBeGreaterThan(10)
  expect(headings).toEqual(names)
})

test.each(pages)('%s links to files and headings that exist', page => {
  for (const [, target, anchor] of read(page).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)) {
    const path = target ? join(dirname(page), target) : page
    expect(() => readdirOrFile(join(root, path)), target).not.toThrow()
    if (anchor && path.endsWith('.md')) expect(anchorsOf(path), `${path}#${anchor}`).toContain(anchor)
  }
})

/** A name without a folder is beside the one named before it: `lib/policy/pcp/schedule.ts`, `servers.ts`. */
test.each(pages)('%s names files of this project that exist', page => {
  let folder = ''
  for (const [, path] of read(page).matchAll(/`([\w./-]+)`/g)) {
    const [top] = path!.split('/')
    if (PLACES.includes(top!) && path!.includes('/')) folder = path!.endsWith('/') ? path! : dirname(path!)
    else if (!hasOwnFolders(page) || !/^[\w-]+\.(ts|cc|h|mjs)$/.test(path!)) continue
    else if (!existsSync(join(root, path!))) {
      expect(existsSync(join(root, folder, path!)), `${path} beside ${folder}`).toBe(true)
      continue
    }
    expect(existsSync(join(root, path!)), path).toBe(true)
  }
})

const PLACES = ['lib', 'test', 'native', 'examples', 'docs', 'bench', 'scripts', 'schema']
const hasOwnFolders = (page: string) => ['ARCHITECTURE.md', 'docs/linux.md'].includes(page)

test('pages and headings that the code names exist', () => {
  for (const file of readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts')) continue
    for (const [, page, anchor] of read(`lib/${file}`).matchAll(/\b((?:docs\/[\w-]+|[A-Z]{4,})\.md)(?:#([\w-]+))?/g)) {
      expect(pages, `lib/${file}`).toContain(page)
      if (anchor) expect(anchorsOf(page!), `lib/${file}`).toContain(anchor)
    }
  }
})

/** As GitHub makes them of headings. */
function anchorsOf(path: string): string[] {
  const headings = read(path).matchAll(/^#+ (.*)$/gm)
  return [...headings].map(([, text]) =>
    text!
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )
}

function readdirOrFile(path: string): void {
  try {
    readFileSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EISDIR') throw error
  }
}

test('the rules in docs/session.md are rules', () => {
  const [, json] = /```json\n([\s\S]*?)```/.exec(read('docs/session.md')) ?? []
  expect(parseRules(JSON.parse(json!)).map(rule => rule.precedence)).toEqual([10, 255])
})

test('every option of a session has a heading in docs/session.md', () => {
  const [, body] = /export interface SessionOptions[^{]*\{\n([\s\S]*?)\n\}/.exec(read('lib/session/options.ts')) ?? []
  const names = [...(body ?? '').matchAll(/^ {2}(\w+)\??:/gm)].map(match => match[1])
  const headings = [...read('docs/session.md').matchAll(/^### (\w+)$/gm)].map(match => match[1])
  expect(names).toHaveLength(12)
  expect(headings).toEqual(names)
})

/** Of net.createServer. */
const OF_NET = ['allowHalfOpen', 'pauseOnConnect', 'noDelay', 'keepAlive', 'keepAliveInitialDelay', 'highWaterMark']

test('every option of a session’s servers has a heading in docs/incoming.md', () => {
  const [, body] =
    /export interface SessionServerOptions[^{]*\{\n([\s\S]*?)\n\}/.exec(read('lib/session/server-options.ts')) ?? []
  const names = [...(body ?? '').matchAll(/^ {2}(\w+)\??:/gm)].map(match => match[1])
  const own = names.filter(name => !OF_NET.includes(name!))
  const headings = [...read('docs/incoming.md').matchAll(/^### (\w+)$/gm)].map(match => match[1])
  expect(own.length).toBeGreaterThan(3)
  expect(headings).toEqual(own)
})

test('docs/terms.md explains the words that every page takes for granted', () => {
  const entries = [...read('docs/terms.md').matchAll(/^\*\*(.+?)\*\*/gm)].flatMap(([, names]) => names!.split(', '))
  const words = [
    'access',
    'ATSSS rule',
    'backup',
    'container',
    'converter',
    'cookie',
    'endpoint',
    'fallback',
    'mapping',
  ]
  words.push('NAS', 'path manager', 'PCP', 'PDU session', 'precedence', 'steering mode', 'subflow', 'token')
  expect(entries).toEqual(expect.arrayContaining([...words, 'traffic descriptor', '0-RTT', 'TLV', 'level']))
  expect(new Set(entries).size).toBe(entries.length)
})

test('docs/troubleshooting.md calls the doctor’s findings what the doctor calls them', () => {
  const doctor = readdirSync(join(root, 'lib/cli/doctor')).map(file => read(`lib/cli/doctor/${file}`))
  const quoted = [
    ...read('docs/troubleshooting.md').matchAll(/`doctor`(?:: ([A-Z][\w ]+?) (?:…|\|)|'s line "([^"]+)")/g),
  ]
  expect(quoted.length).toBeGreaterThan(8)
  for (const [, one, other] of quoted) expect(doctor.join(), one ?? other).toContain(one ?? other)
})
