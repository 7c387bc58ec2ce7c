/** The code in the documentation: commands have the options that they are given, TypeScript has the right types, JSON is valid. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import ts from 'typescript'
import { describe, expect, test } from 'vitest'
import { COMMANDS } from '../lib/cli/commands.js'
import { parseScenario } from '../lib/lab/scenario.js'
import { readRules } from '../lib/policy/rules/read.js'

const root = join(import.meta.dirname, '..')
const pages = ['README.md', 'examples/README.md', ...readdirSync(join(root, 'docs')).map(name => `docs/${name}`)]

interface Block {
  /** Page and line. */
  place: string
  language: string
  text: string
}

const blocks: Block[] = pages.flatMap(page => {
  const text = readFileSync(join(root, page), 'utf8')
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(({ 1: language, 2: body, index }) => ({
    place: `${page}:${text.slice(0, index).split('\n').length}`,
    language: language!,
    text: body!,
  }))
})
const written = (language: string) => blocks.filter(block => block.language === language)

/** Each `atsss COMMAND …` with its own options, wherever it stands in a line: behind a pipe, in quotes, behind `--`. */
function commandsOf(line: string): { name: string; options: string[] }[] {
  const [code] = line.split(/(?:^|\s)#\s/)
  return code!
    .split(/\b(?:npx )atsss /)
    .slice(1)
    .map(rest => {
      const [own] = rest.split(/ -- | -- ?$|[|;&'"]/)
      const [name = '', ...words] = own!.trim().split(/\s+/)
      return { name, options: words.filter(word => /^--?\w/.test(word)).map(word => word.split('=')[0]!) }
    })
}

describe('shell', () => {
  const lines = written('sh').flatMap(({ place, text }) =>
    text
      .replace(/\\\n\s*/g, '')
      .split('\n')
      .map(line => ({ place, line })),
  )
  const used = lines.flatMap(({ place, line }) => commandsOf(line).map(command => ({ place, line, ...command })))

  test('there are commands', () => {
    expect(used.length).toBeGreaterThan(30)
    expect(
      commandsOf("sudo npx atsss lab --quiet -- sh -c 'x | npx atsss connect -v --tls h 80' # npx atsss no"),
    ).toEqual([
      { name: 'lab', options: ['--quiet'] },
      { name: 'connect', options: ['-v', '--tls'] },
    ])
  })

  test.each(used)('$place: $line', async ({ name, options }) => {
    if (name === '--help' || name === 'COMMAND') return
    expect(Object.keys(COMMANDS)).toContain(name)
    const { help } = await COMMANDS[name]!.load()
    const known = [...help.matchAll(/(?<![\w-])--?[\w-]+/g)].map(([option]) => option)
    for (const option of options) expect([...known, '--help']).toContain(option)
  })

  test.each(lines.filter(({ line }) => line.includes('npm run ')))('$place: $line', ({ line }) => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    for (const [, name] of line.matchAll(/npm run ([\w:-]+)/g)) expect(Object.keys(scripts)).toContain(name)
  })
})

test('benchmarks that the documentation names exist', () => {
  const measures = ['bench', 'bench/steering', 'bench/converter'].flatMap(folder =>
    readdirSync(join(root, folder))
      .filter(name => name.endsWith('.ts'))
      .map(name => `${folder}/${name}`),
  )
  const names = measures.flatMap(path =>
    [...readFileSync(join(root, path), 'utf8').matchAll(/^ +name: '([\w-]+)',$/gm)].map(([, name]) => name),
  )
  const named = pages.flatMap(page =>
    [...readFileSync(join(root, page), 'utf8').matchAll(/bench -- --only ([\w-]+)/g)].map(([, name]) => name),
  )
  expect(named.length).toBeGreaterThan(3)
  expect(names).toEqual(expect.arrayContaining(named))
})

/** What a snippet may take for granted. */
const GIVEN = `
declare var http: typeof import('node:http')
declare var handler: import('node:http').RequestListener
declare var session: import('atsss').MaPduSession
declare var createServer: typeof import('atsss').createServer
`

test('TypeScript has the right types', () => {
  const files = new Map(
    written('ts').map(({ place, text }) => [join(root, `${place.replace(':', '.line-')}.ts`), `${text}\nexport {}\n`]),
  )
  expect(files.size).toBeGreaterThan(5)
  files.set(join(root, 'docs/given.d.ts'), GIVEN)
  files.set(
    join(root, 'docs/wrong.ts'),
    `import { connect } from 'atsss'\nconnect({ port: 80, convertor: '192.0.2.1:1' })\n`,
  )

  const { config } = ts.readConfigFile(join(root, 'tsconfig.dev.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent({ ...config, files: [], include: [] }, ts.sys, root)
  Object.assign(options, { noUnusedLocals: false, incremental: false })
  const host = ts.createCompilerHost(options)
  const { readFile, fileExists } = host
  host.fileExists = path => files.has(path) || fileExists(path)
  host.readFile = path => files.get(path) ?? readFile(path)
  const program = ts.createProgram([...files.keys()], options, host)

  const complaints = ts
    .getPreEmitDiagnostics(program)
    .map(({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`)
  const [expected, ...others] = complaints.sort(
    (a, b) => Number(b.includes('wrong.ts')) - Number(a.includes('wrong.ts')),
  )
  expect(expected).toMatch(/wrong\.ts.*convertor/)
  expect(others).toEqual([])
}, 60_000)

describe('JSON', () => {
  const schema = JSON.parse(readFileSync(join(root, 'schema/atsss.json'), 'utf8'))
  const valid = new Ajv({ strict: false }).compile(schema)

  test.each(written('json'))('$place', ({ text }) => {
    const value = JSON.parse(text)
    if (Array.isArray(value) || value.pccRules) return void expect(readRules([], value).rules.length).toBeGreaterThan(0)
    if (Array.isArray(value.accesses)) return void parseScenario(value)
    valid(value)
    expect(valid.errors ?? []).toEqual([])
  })

  test.each(['examples/device/atsss.json'])('%s', path => {
    valid(JSON.parse(readFileSync(join(root, path), 'utf8')))
    expect(valid.errors ?? []).toEqual([])
  })

  test('examples/crowded-wifi.json is a topology', () => {
    const text = readFileSync(join(root, 'examples/crowded-wifi.json'), 'utf8')
    expect(parseScenario(JSON.parse(text)).trace).toHaveLength(2)
  })
})
