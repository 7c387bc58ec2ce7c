/** The messages of the diagnostics channels. */
import type { Socket } from 'node:net'
import type { AccessType } from '../policy/rules/rule.js'
import type { MptcpReport } from '../runtime/connect/report.js'
import type { SteeringLevel } from '../runtime/steering/messages.js'
import type { SessionEvents, SessionHandover } from './events.js'
import type { MaPduSession } from './session.js'

/** Who a message is about: a session. */
export interface SessionMessage {
  session: MaPduSession
}

/** What a message is about: a connection. */
export interface ConnectionMessage {
  /** From 1; unique in this thread. `atsss watch` and NODE_DEBUG=atsss name it so too. */
  id: number
  /** An `MptcpSocket`; under the preload, the application's own net.Socket. */
  socket: Socket
  /** Undefined: it belongs to no session. */
  session: MaPduSession | undefined
  /** The server as the application has named it; of a connection that has come in, the remote host. */
  host: string
  port: number
}

/**
 * The messages of the diagnostics channels, by the channel's name.
 *
 * @example
 * diagnostics_channel.subscribe('atsss:connection:handover', message => {
 *   const { host, to, gapMs } = message as DiagnosticsMessages['atsss:connection:handover']
 * })
 */
export interface DiagnosticsMessages {
  'atsss:session:created': SessionMessage
  /** It is known what can be done about subflows, as by `session.ready`. */
  'atsss:session:ready': SessionMessage & SteeringLevel
  /** As the event `degraded`. */
  'atsss:session:degraded': SessionMessage & SessionEvents['degraded'][0]
  'atsss:session:closed': SessionMessage
  /** As the event `access`. */
  'atsss:access:changed': SessionMessage & { access: AccessType; available: boolean; why: string }
  /** As the event `interface`. */
  'atsss:access:interface': SessionMessage & SessionEvents['interface'][0]
  /** Just before `'connect'`, or before a server's `'connection'`. */
  'atsss:connection:connected': ConnectionMessage &
    Pick<MptcpReport, 'protocol' | 'fallback' | 'interface' | 'converter'> & {
      /** Whether the remote host has made it. */
      incoming: boolean
    }
  /** A connection was not established. `error` is undefined if the application has closed it before. */
  'atsss:connection:connectError': ConnectionMessage & { error: Error | undefined }
  /** An established connection has ended; `error` says why if it did not end in order. */
  'atsss:connection:closed': ConnectionMessage & { error: Error | undefined }
  /** As the event `handover`. */
  'atsss:connection:handover': ConnectionMessage & Omit<SessionHandover, 'socket'>
}
