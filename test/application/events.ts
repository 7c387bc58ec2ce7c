/** What this library emits to the application, read from its sources. The cases of test/application are compared with it. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

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

/** The files whose objects the application holds. `runtime` has emitters of its own, except for the sockets that it connects. */
export function publicSources(): [file: string, text: string][] {
  return sources().filter(([file]) => /^(session|socket|converter|agents|preload)\//.test(file) || file === CONNECTING)
}

const CONNECTING = 'runtime/connect/connecting.ts'

/** What the connecting of a net.Socket emits. */
export const SOCKET_EVENTS: Set<string> = new Set(
  sources()
    .filter(([file]) => file === CONNECTING)
    .flatMap(([, text]) => [...text.matchAll(/emitToApplication\([\w.#]+, '(\w+)'/g)].map(([, event]) => event!)),
)

function sources(): [file: string, text: string][] {
  const files = (readdirSync('lib', { recursive: true }) as string[]).filter(file => file.endsWith('.ts')).sort()
  return files.map(file => [file, readFileSync(join('lib', file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')])
}
