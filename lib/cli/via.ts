/** How a command connects: by a configuration, and options that override it. */
import { connect, MaPduSession, type MptcpOptions, type MptcpSocket, type SessionOptions } from '../index.js'
import { resolveOptions } from '../input/options.js'
import { DEFAULT_RULES, presetRules } from '../policy/rules/presets.js'
import { CONFIG, CONVERTER, hasDefaultFile } from '../preload/find-config.js'
import { resolveSession } from '../session/options.js'
import { type OptionTable, ofFlag, UsageError } from './arguments.js'
import { readConfig } from './config.js'

/** As the options of `connect()` are with a converter and nothing else. */
const DEFAULTS = resolveOptions({ converters: '192.0.2.1:5124' })

/** For `parseArguments`. */
export const VIA_OPTIONS = {
  config: {
    type: 'string',
    value: 'FILE',
    help: 'a configuration; the options below replace what it says',
    unset: '$ATSSS_CONFIG, or atsss.json beside package.json',
  },
  '3gpp': {
    type: 'string',
    value: 'INTERFACE[,…]',
    help: 'with --non-3gpp: use a session over both accesses. Several interfaces, or patterns such as wwan*: the first that works',
  },
  'non-3gpp': { type: 'string', value: 'INTERFACE[,…]', help: 'the interface of the other access' },
  rules: { type: 'string', value: 'PRESET', help: 'handover, interactive or aggregate', unset: DEFAULT_RULES },
  converter: {
    type: 'string',
    multiple: true,
    value: 'ADDRESS:PORT',
    help: 'a converter to connect through',
    unset: 'none, connect directly',
  },
  interface: {
    type: 'string',
    value: 'NAME',
    help: 'without a session: the interface to use',
    unset: 'as the routes say',
  },
  mptcp: { type: 'string', value: 'prefer|require|off', help: 'whether to use MPTCP', unset: DEFAULTS.mptcp },
  convert: {
    type: 'string',
    value: 'auto|0rtt|1rtt',
    help: 'how to send the Convert message: in the SYN, or after the handshake',
    unset: DEFAULTS.converters[0]!.convert,
  },
  fallback: {
    type: 'string',
    value: 'fail|direct',
    help: 'what to do when no converter can be used',
    unset: DEFAULTS.fallback,
  },
  'allow-loopback': { type: 'boolean', help: 'use converters for loopback destinations too: for tests' },
} as const satisfies OptionTable

interface ViaValues {
  config?: string | undefined
  '3gpp'?: string | undefined
  'non-3gpp'?: string | undefined
  rules?: string | undefined
  converter?: string[] | undefined
  interface?: string | undefined
  mptcp?: string | undefined
  convert?: string | undefined
  fallback?: string | undefined
  'allow-loopback'?: boolean | undefined
}

/** The options that the flags say, checked. Throws `UsageError`. */
export function optionsOfFlags(values: ViaValues): Partial<SessionOptions> & MptcpOptions {
  const options: Record<string, unknown> = {}
  const { '3gpp': cellular, 'non-3gpp': other, rules, converter } = values
  if ((cellular === undefined) !== (other === undefined))
    throw new UsageError('--3gpp and --non-3gpp must be given together')
  if (cellular !== undefined) {
    const accesses = { '3gpp': namesIn(cellular), 'non-3gpp': namesIn(other!) }
    ofFlag(OF_ACCESSES, () => resolveSession({ accesses }))
    options.accesses = accesses
  }
  if (rules !== undefined) {
    ofFlag('--rules', () => presetRules(rules))
    options.rules = rules
  }
  for (const name of ['interface', 'mptcp', 'convert', 'fallback'] as const) {
    if (values[name] === undefined) continue
    ofFlag(`--${name}`, () => resolveOptions({ [name]: values[name] }))
    options[name] = values[name]
  }
  for (const converters of converter ?? []) ofFlag('--converter', () => resolveOptions({ converters }))
  if (converter) options.converters = converter
  if (values['allow-loopback']) options.allowLoopback = true
  return options
}

/** By the place in the option `accesses` that is wrong. */
const OF_ACCESSES = { 'accesses.3gpp': '--3gpp', 'accesses.non-3gpp': '--non-3gpp', '': '--3gpp and --non-3gpp' }

/** The options of a session if there are accesses, else those of `connect()`. Throws `UsageError`. */
export function viaOptions(values: ViaValues): Partial<SessionOptions> & MptcpOptions {
  const given = optionsOfFlags(values)
  const { [CONFIG]: config, [CONVERTER]: converter } = process.env
  const fromFile = (values.config ?? config ?? converter) !== undefined || hasDefaultFile()
  const options = { ...(fromFile ? readConfig(values.config).options : {}), ...given }
  if (options.accesses === undefined && given.rules !== undefined) throw new UsageError(RULES_NEED_ACCESSES)
  return options
}

export const RULES_NEED_ACCESSES = '--rules needs a session: also give --3gpp INTERFACE and --non-3gpp INTERFACE'

/** One name, or several with commas between them. */
export function namesIn(text: string): string | string[] {
  return text.includes(',') ? text.split(',') : text
}

/** Makes connections: a session, or `connect()` with its options. */
export interface Via {
  session: MaPduSession | undefined
  connect(options: { host: string; port: number; allowHalfOpen?: boolean }): MptcpSocket
  close(): void
}

/** Throws `ERR_ATSSS_OPTION`, `ERR_ATSSS_RULE`. */
export function openVia(options: Partial<SessionOptions> & MptcpOptions): Via {
  if (options.accesses === undefined)
    return { session: undefined, connect: to => connect({ ...options, ...to }), close: () => {} }
  const session = new MaPduSession(options as SessionOptions)
  return { session, connect: to => session.connect(to), close: () => session.close() }
}
