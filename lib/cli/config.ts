/** Reads the preload's configuration, `atsss.json`, for the commands. */
import { existsSync } from 'node:fs'
import { AtsssError } from '../errors.js'
import type { MptcpOptions } from '../input/options.js'
import { DEFAULT_RULES } from '../policy/rules/presets.js'
import { readRules } from '../policy/rules/read.js'
import type { Rule } from '../policy/rules/rule.js'
import { configError } from '../preload/config.js'
import { CONFIG, findConfig } from '../preload/find-config.js'
import type { AccessConfigs } from '../runtime/network/access-choice.js'
import { resolveSession, type SessionOptions } from '../session/options.js'

export interface Config {
  /** A session's options if there are `accesses`, else those of `connect()`. */
  options: Partial<SessionOptions> & MptcpOptions
  /** The interfaces that each access may use; `undefined` without a session. */
  accesses: AccessConfigs | undefined
  rules: readonly Rule[]
  application: { osId?: string; osAppId: string } | undefined
}

/** The environment, in which `--config` takes the place of the variable. Throws ERR_ATSSS_CONFIG if there is no such file. */
export function environmentWith(path: string | undefined): NodeJS.ProcessEnv {
  if (path === undefined) return process.env
  if (!path.trimStart().startsWith('{') && !existsSync(path))
    throw configError(`--config ${path}`, 'there is no such file')
  return { ...process.env, [CONFIG]: path }
}

/**
 * @param path of the file, or the JSON itself
 * @defaultValue `$ATSSS_CONFIG`, or the `atsss.json` that `findConfig` finds
 * @throws ERR_ATSSS_CONFIG if there is no configuration, or it is invalid
 */
export function readConfig(path: string | undefined): Config {
  const env = environmentWith(path)
  try {
    const options = findConfig(env).config.via as Partial<SessionOptions> & MptcpOptions
    const accesses = options.accesses && resolveSession(options as SessionOptions).accesses
    const { rules } = readRules([], options.rules ?? DEFAULT_RULES)
    return { options, accesses, rules, application: options.application }
  } catch (error) {
    const { code, message } = error as AtsssError
    if (code !== 'ERR_ATSSS_CONFIG') throw error
    if (path !== undefined) throw error
    throw new AtsssError(code, `${message}; or name another file with --config FILE`)
  }
}
