/** Finds the preload's configuration. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { type Config, configError, parseConfig } from './config.js'

/** The name of the configuration file. */
export const CONFIG_NAME = 'atsss.json'

/** Any value but `0` switches the preload off. */
export const DISABLE = 'ATSSS_DISABLE'

/** Names the configuration file, or contains the JSON. */
export const CONFIG = 'ATSSS_CONFIG'

/**
 * Reads the configuration that `ATSSS_CONFIG` names: the path of a file, or the JSON itself, which begins with a brace. Without
 * `ATSSS_CONFIG` it reads `atsss.json` beside the nearest package.json at or above the working directory, or in the working directory
 * if there is no package.json.
 *
 * @returns the configuration and its origin: the path of the file, or `ATSSS_CONFIG`
 * @throws ERR_ATSSS_CONFIG
 */
export function findConfig(env: NodeJS.ProcessEnv, cwd: string): { config: Config; origin: string } {
  const named = env[CONFIG]?.trim()
  if (named?.startsWith('{')) return { config: parse(named, CONFIG), origin: CONFIG }
  const path = named ? resolve(cwd, named) : defaultPath(cwd)
  return { config: parse(read(path, Boolean(named)), path), origin: path }
}

/** The path of the configuration file if `ATSSS_CONFIG` names none. */
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
      named
        ? `${CONFIG} names this file, and it does not exist: correct the path, or create the file`
        : `there is no such file: create it, or name another one with ${CONFIG}=FILE`,
    )
  }
}

function nearestPackage(from: string): string | undefined {
  for (let folder = resolve(from); ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder
    if (folder === dirname(folder)) return undefined
  }
}
