/** Carries out what the policy plans for a connection's subflows, through the userspace path manager. */
import type { Action } from '../../policy/steering/plan.js'
import type { AccessLinks } from '../network/access-links.js'
import type { SubflowName } from '../network/path-manager.js'
import type { SteeredConnection } from './connection.js'
import type { Effects, SubflowManager } from './effects.js'

/** What came of it: `error` says that the kernel refused. */
export interface ActionReport {
  event: 'action'
  token: number
  action: Action
  error?: string
}

/**
 * What is asked for is taken for done, so that the next look does not ask again. What is refused is as it was: it is planned
 * again, and asked for ever less often.
 */
export async function applyAction(
  connection: SteeredConnection,
  action: Action,
  manager: SubflowManager,
  links: AccessLinks,
  effects: Pick<Effects, 'now' | 'random' | 'askForAcknowledgement'>,
  tell: (report: ActionReport) => void,
): Promise<void> {
  const { token } = connection
  const { now, random } = effects
  try {
    const done =
      action.do === 'ask' ? ask(connection, action.subflow, effects) : request(connection, action, manager, links, now)
    if (!done) return
    await done
    if ('subflow' in action) connection.refused.forget(action.subflow)
    tell({ event: 'action', token, action })
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException
    if (action.do === 'ask') connection.mayAsk = false
    if (action.do === 'create' && !UNANSWERED.has(code)) connection.joinFailed(action.access, now(), random)
    if (action.do === 'set-backup') {
      connection.setBackup(action.subflow, !action.backup)
      // The handshake of a young one is not done yet; an old one has ended by itself.
      if (code === 'EINVAL') return
    }
    // ENOTCONN: the connection has not carried data yet. ESRCH: the subflow has ended by itself.
    if (code === 'ENOTCONN' || code === 'ESRCH') return
    if (action.do === 'destroy') connection.notDestroyed(action.subflow)
    if (action.do === 'destroy' || action.do === 'set-backup') connection.refused.note(action.subflow, now(), random)
    tell({ event: 'action', token, action, error: message })
  }
}

/**
 * The answer has been lost, and nobody knows whether it was done: a join that the samples do not show soon has come to
 * nothing, and one that they show is ours.
 */
const UNANSWERED: ReadonlySet<string> = new Set(['ENOBUFS', 'ETIMEDOUT'])

/** A kernel that cannot is not asked again: what is lost is then sent again at once. */
async function ask(
  connection: SteeredConnection,
  subflow: number,
  { now, askForAcknowledgement }: Pick<Effects, 'now' | 'askForAcknowledgement'>,
): Promise<void> {
  connection.asked(subflow, now())
  askForAcknowledgement(connection.fd, connection.token)
}

function request(
  connection: SteeredConnection,
  action: Exclude<Action, { do: 'ask' }>,
  manager: SubflowManager,
  links: AccessLinks,
  now: () => number,
): Promise<void> | undefined {
  const { token, remote, family } = connection
  if (action.do === 'create') {
    const local = links.address(action.access, family)
    if (!local || !remote) return undefined
    const localId = connection.join(action.access, local.address, action.backup, now())
    return manager.createSubflow({ token, localId, local, remote, backup: action.backup })
  }
  const name = connection.name(action.subflow)
  if (!name || connection.refused.isFresh(action.subflow, now())) return undefined
  if (action.do === 'destroy') {
    connection.destroyed(action.subflow, now())
    const localId = connection.idOfItsOwn(action.subflow)
    return localId === undefined ? manager.destroySubflow(name) : destroyAndTell(manager, name, localId)
  }
  connection.setBackup(action.subflow, action.backup)
  return manager.setBackup({ ...name, backup: action.backup })
}

/**
 * The reset of a subflow whose access is lost does not reach the peer, which would go on sending on it for a second or
 * more. REMOVE_ADDR (RFC 8684 §3.4.2) reaches it over the others: after the end of the subflow, since before it the
 * kernel might send it there. It sends it for an address that it has announced, or that a subflow has; of the ended ones it
 * remembers the first.
 */
async function destroyAndTell(manager: SubflowManager, name: SubflowName, localId: number): Promise<void> {
  const { token, local } = name
  const destroyed = manager.destroySubflow(name)
  destroyed.catch(() => {}) // told below: it may be refused before the others are done
  const interfaceIndex = 0
  const announced =
    localId === 0 ? undefined : manager.announce({ token, localId, address: local.address, interfaceIndex })
  await Promise.allSettled([announced, sayFarewell(manager, token, localId)])
  await destroyed
}

/** As its load balance wants it; where none does any more, as large as it could have grown. */
export function applySendBuffer(
  connection: SteeredConnection,
  wanted: number | undefined,
  effects: { setSendBuffer(fd: number, token: number, bytes: number): void },
): void {
  const { fd, token, sendBuffer: now } = connection
  const size = wanted ?? (now === undefined ? undefined : GROWN_SEND_BUFFER)
  if (size === undefined || (now !== undefined && Math.abs(size - now) <= now * SEND_BUFFER_SLACK)) return
  connection.sendBuffer = size
  try {
    effects.setSendBuffer(fd, token, size)
  } catch {
    // The socket has gone: the next sample will say so.
  }
}

/** Send buffers are left as they are while they are right but for this share. */
const SEND_BUFFER_SLACK = 0.2
/** The most of net.ipv4.tcp_wmem by default, in bytes. */
const GROWN_SEND_BUFFER = 4_194_304

/** It only hastens what comes anyway, or is tried again: on the last subflow, say, it cannot be sent. */
export async function sayFarewell(manager: SubflowManager, token: number, localId: number): Promise<void> {
  await manager.removeAnnounced({ token, localId }).catch(() => {})
}
