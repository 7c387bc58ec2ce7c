/** The types that the package exports, as built, with the types of each Node (22 is what everything is built with): `tsc` without skipLibCheck looks at them. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import ts from 'typescript'
import { expect, test } from 'vitest'

const { exports, typesVersions } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  exports: Record<string, { types?: string }>
  typesVersions: { '*': Record<string, string[]> }
}
const entries = Object.values(exports).flatMap(({ types }) => (types === undefined ? [] : [resolve(types)]))

/** The libraries of TypeScript are the same for all. */
const libraries = new Map<string, ts.SourceFile | undefined>()

test.each(['20', '24', '26'])('@types/node %s', version => {
  expect(entries.length).toBeGreaterThan(7)
  const options: ts.CompilerOptions = {
    ...{ strict: true, noEmit: true, skipLibCheck: false, types: ['node'], target: ts.ScriptTarget.ES2023 },
    ...{ module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext },
  }
  const host = ts.createCompilerHost(options)
  const { getSourceFile, fileExists, readFile, directoryExists } = host
  const there = (path: string) => path.replace('/@types/node/', `/@types/node-${version}/`)
  host.fileExists = path => fileExists(there(path))
  host.readFile = path => readFile(there(path))
  host.directoryExists = path => directoryExists!(there(path))
  host.realpath = path => path
  host.getSourceFile = (path, ...rest) => {
    if (!path.includes('/typescript/lib/')) return getSourceFile(there(path), ...rest)
    if (!libraries.has(path)) libraries.set(path, getSourceFile(path, ...rest))
    return libraries.get(path)
  }
  const program = ts.createProgram(entries, options, host)
  const own = program.getSourceFiles().filter(({ fileName }) => fileName.startsWith(resolve('dist')))
  expect(own.length).toBeGreaterThan(20)
  // TypeScript 5.7 has made them generic.
  expect(
    own.filter(({ text }) => /\b(Uint8Array|Buffer|DataView)</.test(text)).map(({ fileName }) => fileName),
  ).toEqual([])
  // Not of what is Node's: that takes long, and is not ours.
  const complaints = own.flatMap(file => [
    ...program.getSyntacticDiagnostics(file),
    ...program.getSemanticDiagnostics(file),
  ])
  expect(
    complaints.map(
      ({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`,
    ),
  ).toEqual([])
})

test('what looks at no exports (moduleResolution node10) finds every entry by typesVersions', () => {
  const named = Object.entries(exports).filter(([name, { types }]) => name !== '.' && types !== undefined)
  expect(typesVersions).toEqual({ '*': Object.fromEntries(named.map(([name, { types }]) => [name.slice(2), [types]])) })
})
