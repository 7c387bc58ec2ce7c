/** What a session shows to its watchers. */
import { rulesToJson } from '../policy/rules/json.js'
import { presetOf } from '../policy/rules/presets.js'
import type { Rule } from '../policy/rules/rule.js'
import type { ConnectionStats } from '../runtime/steering/accounts.js'
import {
  CONNECTIONS_SHOWN,
  type Snapshot,
  WATCH_VERSION,
  type WatchedConnection,
  type WatchedRule,
} from '../runtime/watch/messages.js'
import { WatchServer } from '../runtime/watch/server.js'
import { connectionId } from '../socket/channels.js'
import type { MptcpSocket } from '../socket/socket.js'
import type { SessionEvents } from './events.js'
import type { AccessStats, SessionStats } from './stats.js'
import type { WatchOptions } from './watch-options.js'

/** What a watcher sees of a session. (`MaPduSession` itself imports this file.) */
export interface Watchable {
  readonly rules: readonly Rule[]
  stats(): SessionStats
  /** @throws what is wrong with the rules */
  update(rules: unknown): unknown
  readonly ownEvents: {
    on<E extends keyof SessionEvents>(event: E, listener: (...args: SessionEvents[E]) => void): unknown
  }
}

/** Serves until it is closed. @param failed called when it cannot listen */
export function watchSession(
  session: Watchable,
  { path, control = false }: WatchOptions,
  failed: (error: Error) => void,
): WatchServer {
  const update = (rules: unknown) => void session.update(rules)
  const interfaces = () => {
    const { accesses } = session.stats()
    const of = (access: AccessStats) => ({ interface: access.interface })
    return { accesses: { '3gpp': of(accesses['3gpp']), 'non-3gpp': of(accesses['non-3gpp']) } }
  }
  const server = new WatchServer(
    {
      hello: () => ({
        type: 'hello',
        version: WATCH_VERSION,
        pid: process.pid,
        title: title(),
        control,
        rules: rulesToJson(session.rules),
        ...interfaces(),
      }),
      snapshot: () => snapshotOf(session.stats(), session.rules),
      update: control ? update : undefined,
    },
    path,
  )
  const at = () => ({ type: 'event' as const, at: Date.now() })
  session.ownEvents.on('access', change => server.broadcast({ ...at(), event: 'access', ...change }))
  session.ownEvents.on('action', ({ socket, ...change }) =>
    server.broadcast({ ...at(), event: 'action', connection: socket && connectionId(socket), ...change }),
  )
  session.ownEvents.on('handover', ({ socket, ...change }) =>
    server.broadcast({ ...at(), event: 'handover', connection: socket && connectionId(socket), ...change }),
  )
  session.ownEvents.on('degraded', ({ message }) => server.broadcast({ ...at(), event: 'degraded', message }))
  session.ownEvents.on('problem', ({ message }) => server.broadcast({ ...at(), event: 'problem', message }))
  session.ownEvents.on('update', () => {
    const { rules } = session
    const preset = presetOf(rules)
    const names = rules.map(rule => titleOf(rule, preset))
    server.broadcast({ ...at(), event: 'rules', names, preset, rules: rulesToJson(rules) })
  })
  server.listening.catch(failed)
  return server
}

function snapshotOf(stats: SessionStats, inForce: readonly Rule[]): Snapshot {
  const { level, accesses, rules, connections, handovers, lastHandover, fallbacks } = stats
  const preset = presetOf(inForce)
  const most = [...connections].sort((a, b) => total(b) - total(a)).slice(0, CONNECTIONS_SHOWN)
  return {
    type: 'snapshot',
    at: Date.now(),
    level,
    accesses,
    rules: rules.map(
      ({ rule, ...rest }): WatchedRule => ({
        name: rule && titleOf(rule, inForce.includes(rule) ? preset : undefined),
        ...(rule && !inForce.includes(rule) ? { replaced: true } : {}),
        precedence: rule?.precedence,
        steering: rule?.steering,
        traffic: rule?.traffic ?? [],
        ...rest,
      }),
    ),
    preset,
    connections: most.map(({ socket, rule, ...rest }): WatchedConnection => {
      const { fallback, convert, interface: name, converter } = socket.mptcp
      const got = { fallback, convert, interface: name, converter: converter?.name }
      return { id: connectionId(socket), rule: rule?.precedence, ...rest, ...got }
    }),
    connectionsOpen: connections.length,
    handovers,
    lastHandover,
    fallbacks,
  }
}

/** What to call a rule where there is little room. */
function titleOf({ id, precedence }: Rule, preset: string | undefined): string {
  return id ?? preset ?? `precedence ${precedence}`
}

function total({ carried }: ConnectionStats<MptcpSocket>): number {
  const [one, other] = [carried['3gpp'], carried['non-3gpp']]
  return one.bytesSent + one.bytesReceived + other.bytesSent + other.bytesReceived
}

function title(): string {
  return process.argv[1] ?? process.title
}
