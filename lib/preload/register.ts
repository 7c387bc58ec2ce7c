/**
 * `node --import atsss/register app.js`: takes the connections of an unmodified application, configured by a file (docs/preload.md).
 * A wrong configuration ends the process before the application begins.
 */
import { isMainThread } from 'node:worker_threads'
import type { MptcpOptions } from '../input/options.js'
import { native } from '../runtime/kernel/native.js'
import type { SessionOptions } from '../session/options.js'
import { MaPduSession } from '../session/session.js'
import { debugLine } from '../socket/channels.js'
import type { Config } from './config.js'
import { DISABLE, findConfig } from './find-config.js'
import { preload } from './preload.js'

let sessionOfPreload: (() => MaPduSession) | undefined

if (['', '0'].includes(process.env[DISABLE] ?? '')) register()

/**
 * The session of the preload, for its events, counters and rules. It is made now if there was no connection yet.
 *
 * @returns undefined if the configuration has no `accesses`, or nothing is taken (ATSSS_DISABLE; no addon and `fallback: 'direct'`)
 */
export function session(): MaPduSession | undefined {
  return sessionOfPreload?.()
}

function register(): void {
  try {
    const { config, origin } = findConfig(process.env)
    if (!usable(config)) return
    if (isSession(config.via)) sessionOfPreload = sessionOf(config.via)
    preload(sessionOfPreload ?? (config.via as MptcpOptions), config.preload)
    debugLine(undefined, () => `configuration: ${origin}`)
  } catch (error) {
    // The main thread writes a worker thread's standard error, after the worker has ended.
    if (!isMainThread) throw error
    process.stderr.write(`atsss: ${(error as Error).message}\n`)
    process.exit(1)
  }
}

/** Without the addon no connection can be taken. If the configuration allows direct connections, Node makes them, and a warning says so. */
function usable({ via }: Config): boolean {
  try {
    native()
    return true
  } catch (error) {
    if (via.fallback !== 'direct') throw error
    process.emitWarning(`All connections are left to Node, without MPTCP: ${(error as Error).message}`, {
      type: 'AtsssWarning',
    })
    return false
  }
}

/** Created for the first connection, so that a process without connections has no steering loop. */
function sessionOf(options: SessionOptions): () => MaPduSession {
  let made: MaPduSession | undefined
  return () => {
    if (made) return made
    const session = new MaPduSession(options)
    made = session
    const told = new Set<string>()
    session.on('degraded', ({ what, message }) => {
      if (what === 'fallback' || told.has(message)) return
      told.add(message)
      process.emitWarning(message, { type: 'AtsssWarning' })
    })
    return session
  }
}

function isSession(via: SessionOptions | MptcpOptions): via is SessionOptions {
  return 'accesses' in via
}
