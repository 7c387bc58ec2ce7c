/** What this library emits to the application, read from its sources. The cases of test/application are compared with it. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Emission {
  file: string
  /** Who emits: `this`, `this.#socket`, … */
  emitter: string
  event: string
  /** Whether it goes through lib/input/application.ts. */
  isGuarded: boolean
}

const EMIT = /(\bemitToApplication\(\s*)?([\w.#]*?)(?:\.emit\(|,\s*)'([\w-]+)'/g

/** Every event that is emitted anywhere in lib/, comments left out. */
export function emissions(): Emission[] {
  return sources().flatMap(([file, text]) =>
    [...text.matchAll(EMIT)]
      .filter(([match, guarded]) => guarded !== undefined || match.includes('.emit('))
      .map(([, guarded, emitter, event]) => ({
        file,
        emitter: emitter!,
        event: event!,
        isGuarded: guarded !== undefined,
      })),
  )
}

/** The members of an interface that lists events. */
export function eventsOf(name: string): Set<string> {
  for (const [, text] of sources()) {
    const body = new RegExp(`interface ${name} \\{\\n([\\s\\S]*?)\\n\\}`).exec(text)?.[1]
    if (body !== undefined) return new Set([...body.matchAll(/^ {2}'?([\w-]+)'?: [[(]/gm)].map(([, event]) => event!))
  }
  throw new Error(`no interface ${name} in lib/`)
}

/** The interfaces in lib/ that list events. */
export function eventInterfaces(): string[] {
  return sources()
    .flatMap(([, text]) => [...text.matchAll(/\binterface (\w+Events) \{/g)].map(([, name]) => name!))
    .sort()
}

/** Of net.Socket. */
export const SOCKET_EVENTS: Set<string> = new Set(
  emissions()
    .filter(({ file }) => file === 'runtime/connect/connecting.ts')
    .map(({ event }) => event),
)

function sources(): [file: string, text: string][] {
  const files = (readdirSync('lib', { recursive: true }) as string[]).filter(file => file.endsWith('.ts')).sort()
  return files.map(file => [file, readFileSync(join('lib', file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')])
}
