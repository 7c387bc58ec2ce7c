/** What is published of sessions, on diagnostics channels (the messages: diagnostics.ts) and with NODE_DEBUG=atsss. */
import diagnostics from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import type { SteeringLevel } from '../runtime/steering/messages.js'
import { connectionId, debugLine, placeOf, publish } from '../socket/channels.js'
import type { SessionEvents, SessionHandover } from './events.js'

const CHANNELS = {
  created: diagnostics.channel('atsss:session:created'),
  ready: diagnostics.channel('atsss:session:ready'),
  degraded: diagnostics.channel('atsss:session:degraded'),
  closed: diagnostics.channel('atsss:session:closed'),
  access: diagnostics.channel('atsss:access:changed'),
  interface: diagnostics.channel('atsss:access:interface'),
  handover: diagnostics.channel('atsss:connection:handover'),
}

export function noteCreated(session: object): void {
  debugLine(undefined, () => 'session created')
  publish(CHANNELS.created, () => ({ session }))
}

export function noteReady(session: object, level: SteeringLevel): void {
  debugLine(undefined, () => `session ready: level ${level.level}${level.why ? ` (${level.why})` : ''}`)
  publish(CHANNELS.ready, () => ({ session, ...level }))
}

export function noteSessionClosed(session: object): void {
  debugLine(undefined, () => 'session closed')
  publish(CHANNELS.closed, () => ({ session }))
}

/** To be called for each event of a session, before its listeners. */
export function noteSessionEvent<E extends keyof SessionEvents>(
  session: object,
  event: E,
  args: SessionEvents[E],
): void {
  debugLine(socketOf(event, args), () => inWords(event, args))
  if (event === 'degraded' || event === 'access' || event === 'interface')
    publish(CHANNELS[event as 'degraded' | 'access' | 'interface'], () => ({ session, ...args[0] }))
  if (event !== 'handover') return
  const { socket, ...change } = args[0] as SessionHandover
  // Of one that is closed meanwhile, its own message says what became of it.
  if (socket)
    publish(CHANNELS.handover, () => ({ id: connectionId(socket), socket, session, ...placeOf(socket), ...change }))
}

function socketOf<E extends keyof SessionEvents>(event: E, [first]: SessionEvents[E]): Socket | undefined {
  return event === 'action' || event === 'handover' ? (first as { socket?: Socket }).socket : undefined
}

function inWords<E extends keyof SessionEvents>(event: E, args: SessionEvents[E]): string {
  switch (event) {
    case 'access': {
      const { access, available, why } = args[0] as SessionEvents['access'][0]
      return `${access} is ${available ? 'available' : 'not available'}: ${why}`
    }
    case 'interface': {
      const { access, interface: name, why } = args[0] as SessionEvents['interface'][0]
      return `${access} uses ${name ?? 'no interface'}: ${why}`
    }
    case 'action': {
      const { action, error } = args[0] as SessionEvents['action'][0]
      const what = action.do === 'create' ? `create over ${action.access}` : `${action.do} subflow ${action.subflow}`
      return `${what}: ${action.why}${error === undefined ? '' : `; refused: ${error}`}`
    }
    case 'handover': {
      const { from, to, gapMs, why } = args[0] as SessionHandover
      const gap = gapMs === undefined ? '' : `, it stood still for ${Math.round(gapMs)} ms`
      return `handover from ${from} to ${to}${gap}: ${why}`
    }
    case 'degraded': {
      const { what, message } = args[0] as SessionEvents['degraded'][0]
      return `degraded (${what}): ${message}`
    }
    case 'restored':
    case 'problem':
      return `${event}: ${(args[0] as { message: string }).message}`
    default:
      return `${event}`
  }
}
