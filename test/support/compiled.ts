/** Programs of this project, as tests start them: compiled, by `compile.ts`. */
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

export const project = fileURLToPath(new URL('../../', import.meta.url))

export const COMPILED = join(project, 'build-tests')

/** @param path from the project's root: `lib/cli/main.ts` */
export function compiled(path: string): string {
  return join(COMPILED, path.replace(/\.ts$/, '.js'))
}

/** For an `import` in a source that Node is given with `-e`. */
export function compiledUrl(path: string): string {
  return pathToFileURL(compiled(path)).href
}
