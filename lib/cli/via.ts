/** How a command reaches the network: a configuration, and the options that stand in place of what it says. */
import { existsSync } from 'node:fs'
import { connect, MaPduSession, type MptcpOptions, type MptcpSocket, type SessionOptions } from '../index.js'
import { CONFIG, defaultPath } from '../preload/find-config.js'
import type { OptionTable } from './arguments.js'
import { UsageError } from './arguments.js'
import { readConfig } from './config.js'

/** For `parseArguments`. */
export const VIA_OPTIONS = {
  config: { type: 'string' },
  '3gpp': { type: 'string' },
  'non-3gpp': { type: 'string' },
  rules: { type: 'string' },
  converter: { type: 'string', multiple: true },
  interface: { type: 'string' },
  mptcp: { type: 'string' },
  convert: { type: 'string' },
  fallback: { type: 'string' },
  'allow-loopback': { type: 'boolean' },
} as const satisfies OptionTable

export const VIA_HELP = `  --config FILE              options below stand in place of its    $ATSSS_CONFIG, or atsss.json beside package.json
  --3gpp INTERFACE           with --non-3gpp: a session over both accesses
  --non-3gpp INTERFACE
  --rules PRESET             handover, interactive or aggregate                      handover
  --converter ADDRESS:PORT   may be repeated                                         none: directly
  --interface NAME           without a session: the interface to leave by            as the routes say
  --mptcp prefer|require|off                                                         prefer
  --convert auto|0rtt|1rtt                                                           auto
  --fallback fail|direct     when no converter can be used                           fail
  --allow-loopback           converters for loopback destinations too: for tests`

export interface ViaValues {
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

/** The options of a session when there are accesses, else those of `connect()`. Throws `UsageError`. */
export function viaOptions(values: ViaValues): Partial<SessionOptions> & MptcpOptions {
  const fromFile = (values.config ?? process.env[CONFIG]) !== undefined || existsSync(defaultPath(process.cwd()))
  const options: Record<string, unknown> = fromFile ? { ...readConfig(values.config).options } : {}
  const { '3gpp': cellular, 'non-3gpp': other } = values
  if ((cellular === undefined) !== (other === undefined)) throw new UsageError('--3gpp and --non-3gpp go together')
  if (cellular !== undefined) options.accesses = { '3gpp': cellular, 'non-3gpp': other }
  if (options.accesses === undefined && values.rules !== undefined)
    throw new UsageError('--rules is of a session, which needs --3gpp and --non-3gpp')
  for (const name of ['rules', 'interface', 'mptcp', 'convert', 'fallback'] as const)
    if (values[name] !== undefined) options[name] = values[name]
  if (values.converter) options.converters = values.converter
  if (values['allow-loopback']) options.allowLoopback = true
  return options
}

/** What makes connections: a session, or `connect()` with its options. */
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
