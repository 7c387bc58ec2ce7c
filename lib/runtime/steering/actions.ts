/** Carries out what the policy plans for a connection's subflows, through the userspace path manager. */
import { callApplication } from '../../input/application.js'
import type { AccessType } from '../../policy/rules/rule.js'
import type { Action } from '../../policy/steering/plan.js'
import type { AccessLinks } from '../network/access-links.js'
import type { AddressPort, SubflowName } from '../network/path-manager.js'
import { isOfNoConnection } from '../network/subflow-commands.js'
import { announceAndWithdraw, type Binding, withdrawAddress } from './binding.js'
import type { SteeredConnection } from './connection.js'
import type { Effects, SubflowManager } from './effects.js'
import { familyOf } from './peer.js'

/** `error`: the kernel refused. */
export interface ActionReport {
  event: 'action'
  token: number
  action: Action
  error?: string
}

/**
 * Takes an action for done as soon as it is requested, so that the next scan does not request it again. After a refusal the
 * state is as before: the action is planned again, and requested at growing intervals.
 */
export async function applyAction(
  connection: SteeredConnection,
  action: Action,
  manager: SubflowManager,
  binding: Binding,
  links: AccessLinks,
  effects: Pick<Effects, 'now' | 'random' | 'askForAcknowledgement'>,
  report: (report: ActionReport) => void,
): Promise<void> {
  const outcome = await carryOut(connection, action, manager, binding, links, effects)
  if (outcome) callApplication(report, { event: 'action', token: connection.token, action, ...outcome })
}

/** Sets the send buffer to what the load balance wants. Once it wants nothing any more, to the size it could have grown to. */
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
    // The socket is closed, as the next sample will show.
  }
}

/** A send buffer that differs from the wanted size by at most this share stays as it is. */
const SEND_BUFFER_SLACK = 0.2
/** The default maximum of net.ipv4.tcp_wmem, in bytes. */
const GROWN_SEND_BUFFER = 4_194_304

/** @returns undefined: nothing was done that is worth a report */
async function carryOut(
  connection: SteeredConnection,
  action: Action,
  manager: SubflowManager,
  binding: Binding,
  links: AccessLinks,
  effects: Pick<Effects, 'now' | 'random' | 'askForAcknowledgement'>,
): Promise<{ error?: string } | undefined> {
  const { now, random } = effects
  try {
    const done =
      action.do === 'ask'
        ? ask(connection, action.subflow, effects)
        : request(connection, action, manager, binding, links, now)
    if (!done) return undefined
    await done
    if ('subflow' in action) connection.forgetRefusal(action.subflow)
    return {}
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException
    if (action.do === 'ask') connection.mayAsk = false
    if (action.do === 'create' && !UNANSWERED.has(code)) connection.joinFailed(action.access, now(), random)
    if (action.do === 'set-backup') {
      connection.setBackup(action.subflow, !action.backup, now())
      // The handshake of a young subflow is not complete; an old subflow has ended by itself.
      if (code === 'EINVAL') return undefined
    }
    // ENOTCONN: the connection has not carried data yet. ESRCH: the subflow has ended by itself. Without a connection: so has it.
    if (code === 'ENOTCONN' || code === 'ESRCH' || isOfNoConnection(error)) return undefined
    if (action.do === 'destroy') connection.notDestroyed(action.subflow)
    if (action.do === 'destroy' || action.do === 'set-backup') connection.noteRefusal(action.subflow, now(), random)
    return { error: message }
  }
}

/**
 * The answer was lost, and the action may have been carried out: a join that no sample shows soon has failed, and one that a
 * sample shows is ours.
 */
const UNANSWERED: ReadonlySet<string> = new Set(['ENOBUFS', 'ETIMEDOUT'])

/** A kernel that cannot do this is not asked again: then lost data is sent again at once. */
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
  binding: Binding,
  links: AccessLinks,
  now: () => number,
): Promise<void> | undefined {
  const { token } = connection
  if (action.do === 'create') {
    const way = wayOver(connection, action.access, links)
    if (!way || connection.awaitsOtherFrom(way.local.address, action.access)) return undefined
    const { local, remote } = way
    const localId = connection.join(action.access, local, action, now())
    return binding.create(connection, { token, localId, local, remote, backup: action.backup })
  }
  const name = connection.name(action.subflow)
  if (!name || connection.wasRefusedLately(action.subflow, now())) return undefined
  if (action.do === 'destroy') {
    connection.destroyed(action.subflow, now())
    const localId = connection.unsharedId(action.subflow)
    return localId === undefined ? manager.destroySubflow(name) : destroyAndWithdraw(manager, name, localId)
  }
  connection.setBackup(action.subflow, action.backup, now())
  if (connection.postpones(action, now())) return undefined
  return manager.setBackup({ ...name, backup: action.backup })
}

/**
 * From which address of the access a new subflow is made, and where to. Of several ways each has its turn, when the one before has
 * failed; the family of the first subflow comes first.
 */
export function wayOver(
  connection: Pick<SteeredConnection, 'places' | 'family' | 'retries'>,
  access: AccessType,
  links: Pick<AccessLinks, 'address' | 'awaitsRoute' | 'translate'>,
): { local: { address: string; interfaceIndex: number }; remote: AddressPort } | undefined {
  const own = (family: 4 | 6) => (links.awaitsRoute(access, family) ? undefined : links.address(access, family))
  const local = { 4: own(4), 6: own(6) }
  const places = connection.places(access)
  const reachable = [
    ...places.filter(place => familyOf(place) === connection.family),
    ...places.filter(place => familyOf(place) !== connection.family),
  ].filter(place => local[familyOf(place)])
  const translated = places.flatMap(({ address, port }) => {
    const by = local[6] && !local[4] ? links.translate(access, address) : undefined
    return by === undefined ? [] : [{ address: by, port }]
  })
  const ways = [...reachable, ...translated]
  const remote = ways[connection.retries[access].failures % ways.length]
  return remote && { local: local[familyOf(remote)]!, remote }
}

/**
 * The reset of a subflow whose access is lost does not reach the peer, which would go on sending on it for a second or more.
 * REMOVE_ADDR (RFC 8684 §3.4.2) reaches it over the other subflows. It is sent after the end of the subflow, since the kernel
 * might send it over that one before. The kernel sends it for an address that it has announced, or that a subflow has; of the
 * subflows that have ended it remembers the first one only.
 */
async function destroyAndWithdraw(manager: SubflowManager, name: SubflowName, localId: number): Promise<void> {
  const { token, local } = name
  const destroyed = manager.destroySubflow(name)
  destroyed.catch(() => {}) // awaited below: it may be refused before the others are done
  if (localId === 0) await withdrawAddress(manager, token, localId)
  else await announceAndWithdraw(manager, token, localId, local.address)
  await destroyed
}
