/**
 * The configuration of the preload, from JSON: the options of a session or of `connect()`, as far as JSON can say them,
 * and what is to be left alone. What is wrong is refused with its place; nothing is passed over.
 * schema/atsss.json says the same as a JSON Schema.
 */
import { AtsssError } from '../errors.js'
import { type ConverterInput, type MptcpOptions, resolveOptions } from '../input/options.js'
import { hexadecimal, integer, list, record, shown, text, word, wrong } from '../policy/rules/check.js'
import { parseRules } from '../policy/rules/json.js'
import { PRESETS } from '../policy/rules/presets.js'
import { BOTH } from '../policy/steering/accesses.js'
import { type RulesInput, resolveSession, type SessionOptions } from '../session/options.js'
import { UUID } from '../wire/atsss/fields.js'
import { Exclusion } from './exclusion.js'
import type { PreloadOptions } from './preload.js'

export interface Config {
  /** With `accesses` a session's options, else those of `connect()`. */
  via: SessionOptions | MptcpOptions
  preload: PreloadOptions
}

const TIMER_MAX = 2_147_483_647

const flag = (path: string, value: unknown) => {
  if (typeof value !== 'boolean') throw wrong(path, `must be true or false; it is ${shown(value)}`)
  return value
}
const oneOf =
  (...words: string[]) =>
  (path: string, value: unknown) =>
    word(path, value, Object.fromEntries(words.map(each => [each, each])))
const within = (least: number, most: number) => (path: string, value: unknown) => integer(path, value, least, most)

/** Each property's check, which gives the option's value. */
const OPTIONS = {
  converters: (path, value) =>
    Array.isArray(value) ? value.map((item, index) => converter(`${path}[${index}]`, item)) : converter(path, value),
  interface: interfaceName,
  mptcp: oneOf('prefer', 'require', 'off'),
  convert: oneOf('auto', '0rtt', '1rtt'),
  pipelining: flag,
  fallback: oneOf('fail', 'direct'),
  connectTimeout: within(0, TIMER_MAX),
  converterTimeout: within(0, TIMER_MAX),
  synTimeout: within(100, 1_900),
  synRetries: within(0, 10),
  attemptDelay: within(10, 60_000),
  info: flag,
  allowLoopback: flag,
} satisfies Partial<Record<keyof MptcpOptions, Check>> as Record<string, Check>

const OF_A_SESSION = {
  accesses: (path, value) => {
    const given = record(path, value, BOTH)
    return Object.fromEntries(BOTH.map(name => [name, access(`${path}.${name}`, given[name])]))
  },
  rules: (_, value) => {
    if (typeof value === 'string') return oneOf(...Object.keys(PRESETS))('rules', value)
    parseRules(value)
    return value as RulesInput
  },
  application: (path, value) => {
    const { osId, osAppId } = record(path, value, ['osId', 'osAppId'])
    return { osAppId: text(`${path}.osAppId`, osAppId), ...(osId === undefined ? {} : { osId: uuid(path, osId) }) }
  },
  unmatched: oneOf('any', 'refuse'),
  unenforceable: oneOf('refuse', 'degrade'),
  watch: (path, value) => {
    if (typeof value === 'boolean') return value
    if (typeof value === 'string') return text(path, value)
    const { path: socket, control } = record(path, value, ['path', 'control'])
    return {
      ...(socket === undefined ? {} : { path: text(`${path}.path`, socket) }),
      ...(control === undefined ? {} : { control: flag(`${path}.control`, control) }),
    }
  },
} satisfies Partial<Record<keyof SessionOptions, Check>> as Record<string, Check>

const OF_THE_PRELOAD = {
  exclude: (path, value) => {
    const entries = list(path, value).map((entry, index) => text(`${path}[${index}]`, entry))
    new Exclusion(entries)
    return entries
  },
  includeLocal: flag,
} satisfies Record<keyof PreloadOptions, Check> as Record<string, Check>

type Check = (path: string, value: unknown) => unknown

/** The names of all properties, for those who read or write such files. */
export const CONFIG_KEYS: readonly string[] = [
  '$schema',
  ...Object.keys(OF_A_SESSION),
  ...Object.keys(OPTIONS),
  ...Object.keys(OF_THE_PRELOAD),
]

/**
 * @param json as `JSON.parse` gives it
 * @param origin where it is from, for the message
 * @throws ERR_ATSSS_CONFIG, with the origin, the place in it, and what was probably meant
 */
export function parseConfig(json: unknown, origin: string): Config {
  try {
    const given = record('the configuration', json, CONFIG_KEYS)
    const of = (checks: Record<string, Check>) =>
      Object.fromEntries(
        Object.entries(checks)
          .filter(([name]) => given[name] !== undefined)
          .map(([name, check]) => [name, check(name, given[name])]),
      )
    if (given.$schema !== undefined) text('$schema', given.$schema)
    const via = { ...of(OPTIONS), ...of(OF_A_SESSION) }
    const stray = Object.keys(OF_A_SESSION).find(name => name in via)
    if (given.accesses === undefined && stray !== undefined)
      throw wrong(stray, 'is of a session, which needs "accesses"')
    if (given.accesses !== undefined && given.interface !== undefined)
      throw wrong('interface', 'does not go with "accesses", which has the interfaces')
    resolveOptions(via)
    if (given.accesses !== undefined) resolveSession(via as unknown as SessionOptions)
    return { via, preload: of(OF_THE_PRELOAD) }
  } catch (error) {
    const { code, message } = error as AtsssError
    if (code !== 'ERR_ATSSS_RULE' && code !== 'ERR_ATSSS_OPTION') throw error
    throw configError(origin, message.replace(/^the configuration\./, ''))
  }
}

export function configError(origin: string, message: string): AtsssError {
  return new AtsssError('ERR_ATSSS_CONFIG', `${origin}: ${message}`)
}

const CONVERTER_KEYS = ['host', 'port', 'domain', 'convert', 'pipelining', 'cookie'] as const

function converter(path: string, value: unknown): ConverterInput {
  if (typeof value === 'string') return value // whose form the options know
  const given = record(path, value, CONVERTER_KEYS)
  if (given.domain === undefined) {
    text(`${path}.host`, given.host)
    integer(`${path}.port`, given.port, 1, 65_535)
  }
  const cookie = given.cookie === undefined ? {} : { cookie: hexadecimal(`${path}.cookie`, given.cookie) }
  return { ...given, ...cookie } as unknown as ConverterInput
}

function access(path: string, value: unknown): string | { interface: string } {
  if (typeof value === 'string' || value === undefined) return interfaceName(path, value)
  return { interface: interfaceName(`${path}.interface`, record(path, value, ['interface']).interface) }
}

/** IFNAMSIZ is 16, its terminating zero included. */
function interfaceName(path: string, value: unknown): string {
  const name = text(path, value, 'the name of an interface')
  if (Buffer.byteLength(name) > 15 || /[\s/]/.test(name))
    throw wrong(path, `must be the name of an interface; it is ${shown(value)}`)
  return name
}

function uuid(path: string, value: unknown): string {
  const given = text(`${path}.osId`, value, 'a UUID')
  if (!UUID.test(given.toLowerCase())) throw wrong(`${path}.osId`, `must be a UUID; it is ${shown(value)}`)
  return given
}
