/**
 * Where the files are that the package needs at run time: its addon, its worker, its programs. They are found from this module's own
 * place; in a bundle, this module is somewhere else, or nowhere.
 */
import { existsSync } from 'node:fs'
import { AtsssError } from '../../errors.js'

/**
 * The folder of the package.
 *
 * @throws ERR_ATSSS_BUNDLED if this module has been put into a bundle
 */
export function packageFolder(): URL {
  // Undefined in bundles of CommonJS; of ESM it is the bundle's; webpack writes down where the file was when it was bundled.
  const here: string | undefined = import.meta.url
  const folder = isOwnPlace(here) ? new URL('../../../', here) : undefined
  if (folder && existsSync(new URL('package.json', folder))) return folder
  throw new AtsssError(
    'ERR_ATSSS_BUNDLED',
    'atsss has been put into a bundle, which has neither its native addon nor its worker thread: keep it external (esbuild --external:atsss; webpack externals; Vite ssr.external), and install it beside the bundle: docs/bundlers.md',
  )
}

/** `…/dist/runtime/kernel/package-files.js`, or of the sources. */
function isOwnPlace(url: string | undefined): url is string {
  return url !== undefined && /\/runtime\/kernel\/package-files\.[jt]s$/.test(url)
}
