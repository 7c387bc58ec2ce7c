/** Where the preload's configuration is. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { type Config, configError, parseConfig } from './config.js'

/** The name of the file that is looked for. */
export const CONFIG_NAME = 'atsss.json'

/** Set to something else than `0`, the preload does nothing. */
export const DISABLE = 'ATSSS_DISABLE'

/** A path, or the JSON itself. */
export const CONFIG = 'ATSSS_CONFIG'

/**
 * In `ATSSS_CONFIG`: the path of a file, or the JSON itself, which begins with a brace. Without it, `atsss.json` beside the
 * nearest package.json of the working directory, or in the working directory when there is none.
 *
 * @returns the configuration, and where it is from: its path, or `ATSSS_CONFIG`
 * @throws ERR_ATSSS_CONFIG
 */
export function findConfig(env: NodeJS.ProcessEnv, cwd: string): { config: Config; origin: string } {
  const named = env[CONFIG]?.trim()
  if (named?.startsWith('{')) return { config: parse(named, CONFIG), origin: CONFIG }
  const path = named ? resolve(cwd, named) : defaultPath(cwd)
  return { config: parse(read(path, Boolean(named)), path), origin: path }
}

/** Where it is looked for when nothing names one. */
export function defaultPath(cwd: string): string {
  return join(nearestPackage(cwd) ?? cwd, CONFIG_NAME)
}

function parse(text: string, origin: string): Config {
  let json: unknown
  try {
    json = JSON.parse(text.replace(/^\uFEFF/, ''))
  } catch (error) {
    throw configError(origin, `is not JSON: ${(error as Error).message}`)
  }
  return parseConfig(json, origin)
}

function read(path: string, named: boolean): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT') throw configError(path, message)
    throw configError(
      path,
      named ? `is not there, though ${CONFIG} names it` : `is not there, and ${CONFIG} is not set`,
    )
  }
}

function nearestPackage(from: string): string | undefined {
  for (let folder = resolve(from); ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder
    if (folder === dirname(folder)) return undefined
  }
}
