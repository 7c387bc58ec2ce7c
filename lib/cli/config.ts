/** The configuration file, `atsss.json`, as the commands see it. */
import { readFileSync } from 'node:fs'
import type { AtsssError } from '../errors.js'
import { type MptcpOptions, resolveOptions } from '../options.js'
import { BOTH } from '../policy/accesses.js'
import type { AccessType, Rule } from '../policy/rules.js'
import { readRules, resolveSession, type SessionOptions } from '../session-options.js'
import { UsageError } from './arguments.js'

export interface Config {
  /** With `accesses` a session's options, else those of `connect()`. */
  options: Partial<SessionOptions> & MptcpOptions
  /** The interface of each access; `undefined` without a session. */
  accesses: Readonly<Record<AccessType, string>> | undefined
  rules: readonly Rule[]
  application: { osId?: string; osAppId: string } | undefined
}

/**
 * @param path @defaultValue `$ATSSS_CONFIG`, or `atsss.json` in the working directory
 * @throws UsageError when it is not there, or is not what it should be
 */
export function readConfig(path: string | undefined): Config {
  const named = path ?? process.env.ATSSS_CONFIG ?? 'atsss.json'
  const options = parse(read(named, path === undefined), named)
  try {
    resolveOptions(options)
    const { accesses } = options.accesses === undefined ? {} : resolveSession(options as SessionOptions)
    const { rules } = readRules([], options.rules ?? 'handover')
    const interfaces = accesses && Object.fromEntries(BOTH.map(access => [access, accesses[access].interface]))
    return { options, accesses: interfaces as Config['accesses'], rules, application: options.application }
  } catch (error) {
    const { code, message } = error as AtsssError
    if (code !== 'ERR_ATSSS_RULE' && code !== 'ERR_ATSSS_OPTION') throw error
    throw new UsageError(`${named}: ${message}`)
  }
}

function read(path: string, byDefault: boolean): string {
  if (path.trimStart().startsWith('{')) return path
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const remedy = byDefault ? '; name a configuration with --config FILE, or in ATSSS_CONFIG' : ''
    throw new UsageError(`${path}: ${(error as Error).message}${remedy}`)
  }
}

function parse(text: string, path: string): Config['options'] {
  try {
    const { $schema: _, exclude: _exclude, includeLocal: _includeLocal, ...options } = JSON.parse(text)
    return options
  } catch (error) {
    throw new UsageError(`${path}: is not JSON: ${(error as Error).message}`)
  }
}
