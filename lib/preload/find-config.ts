/** Finds the preload's configuration. */
import { closeSync, existsSync, fstatSync, openSync, readFileSync, type Stats } from 'node:fs'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { parseJson } from '../input/json.js'
import { hasOthersRights } from '../input/rights.js'
import { type Config, configError, parseConfig } from './config.js'

/** The name of the configuration file. */
export const CONFIG_NAME = 'atsss.json'

/** Any value but `0` switches the preload off. */
export const DISABLE = 'ATSSS_DISABLE'

/** A converter, such as `192.0.2.1:5124`, or several, separated by commas: replaces those of the configuration. */
export const CONVERTER = 'ATSSS_CONVERTER'

/** Names the configuration file, or contains the JSON. */
export const CONFIG = 'ATSSS_CONFIG'

/**
 * Reads the configuration that `ATSSS_CONFIG` names: the path of a file, or the JSON itself, which begins with a brace. Without
 * `ATSSS_CONFIG` it reads `atsss.json` beside the nearest package.json at or above the working directory, or in the working directory
 * if there is no package.json.
 *
 * A file that is found, and not named, must belong to this user or to root, and not be writable by all: a user who can write it decides
 * where the connections go. In a process with the rights of another user than the one who started it (set-user-ID), `ATSSS_CONFIG`
 * does not count, as NODE_OPTIONS does not.
 *
 * `ATSSS_CONVERTER` replaces the converters, and is a configuration by itself where there is no file.
 *
 * @param cwd the working directory, if that is not the process's
 * @returns the configuration and its origin: the path of the file, `ATSSS_CONFIG` or `ATSSS_CONVERTER`
 * @throws ERR_ATSSS_CONFIG
 */
export function findConfig(env: NodeJS.ProcessEnv, cwd?: string): { config: Config; origin: string } {
  const named = hasOthersRights() ? undefined : env[CONFIG]?.trim()
  const converter = hasOthersRights() ? undefined : env[CONVERTER]?.trim() || undefined
  if (named?.startsWith('{')) return { config: parse(named, CONFIG, converter), origin: CONFIG }
  // Only if it is needed: the working directory may have been deleted.
  const folder = () => cwd ?? workingDirectory()
  const path = named ? (isAbsolute(named) ? named : resolve(folder(), named)) : defaultPath(folder())
  if (!named && converter !== undefined && !existsSync(path))
    return { config: parse('{}', CONVERTER, converter), origin: CONVERTER }
  return { config: parse(named ? readNamed(path) : readFound(path), path, converter), origin: path }
}

function workingDirectory(): string {
  try {
    return process.cwd()
  } catch (error) {
    throw configError(
      CONFIG_NAME,
      `the working directory, in which it is searched, does not exist any more (${(error as Error).message}): name the file with ${CONFIG}=FILE`,
    )
  }
}

/** Whether there is a configuration file without `ATSSS_CONFIG`. */
export function hasDefaultFile(): boolean {
  try {
    return existsSync(defaultPath(process.cwd()))
  } catch {
    return false // the working directory has been deleted
  }
}

/** The path of the configuration file if `ATSSS_CONFIG` names none. */
export function defaultPath(cwd: string): string {
  return join(nearestPackage(cwd) ?? cwd, CONFIG_NAME)
}

function parse(text: string, origin: string, converter: string | undefined): Config {
  let json: unknown
  try {
    json = parseJson(text)
  } catch (error) {
    throw configError(origin, `is not JSON: ${(error as Error).message}`)
  }
  if (converter === undefined || typeof json !== 'object' || json === null) return parseConfig(json, origin)
  const converters = converter.split(',').map(each => each.trim())
  return parseConfig({ ...json, converters }, origin === CONVERTER ? origin : `${origin} with ${CONVERTER}`)
}

function readNamed(path: string): string {
  return read(path, `${CONFIG} names this file, and it does not exist: correct the path, or create the file`, () => {})
}

function readFound(path: string): string {
  return read(path, `there is no such file: create it, or name another one with ${CONFIG}=FILE`, ({ uid, mode }) => {
    const isOthers = uid !== 0 && uid !== process.geteuid?.()
    if (!isOthers && (mode & WRITABLE_BY_ALL) === 0) return
    const why = isOthers ? `it belongs to another user (uid ${uid})` : 'every user can write it (chmod o-w)'
    throw configError(path, `${why}, and decides where connections go: if you trust it, name it with ${CONFIG}=${path}`)
  })
}

const WRITABLE_BY_ALL = 0o002

/** @param check of the file that is read, not of what is at its path a moment later */
function read(path: string, missing: string, check: (file: Stats) => void): string {
  let fd: number | undefined
  try {
    fd = openSync(path, 'r')
    check(fstatSync(fd))
    return readFileSync(fd, 'utf8')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ERR_ATSSS_CONFIG') throw error
    throw configError(path, code === 'ENOENT' ? missing : message)
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

function nearestPackage(from: string): string | undefined {
  for (let folder = resolve(from); ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder
    if (folder === dirname(folder)) return undefined
  }
}
