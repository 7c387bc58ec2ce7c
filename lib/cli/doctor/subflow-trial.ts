/**
 * What the userspace path manager does with the interface of a new subflow, and where packets from an address leave without it:
 * asked of the kernel.
 */
import { once } from 'node:events'
import { type AddressInfo, isIP } from 'node:net'
import { connect, createServer } from '../../index.js'
import { fdOf } from '../../runtime/kernel/node-socket.js'
import { tokenOf } from '../../runtime/kernel/open-socket.js'
import type { Link, NetworkState } from '../../runtime/network/link-monitor.js'
import type { PathManager } from '../../runtime/network/path-manager.js'
import { interfaceFor, sourceRouting } from '../../runtime/network/source-routing.js'

/**
 * What the userspace path manager does with the interface of a new subflow: it obeys it, or only after the address was announced, or
 * it ignores it and refuses the announcement (why).
 */
export type SubflowInterface =
  | { is: 'kept' }
  | { is: 'kept-if-announced' }
  | { is: 'ignored'; refusal: string }
  | { is: 'unknown'; why: string }

/** By which interface packets from an address leave, if their socket is bound to none. */
export interface Leaving {
  address: string
  /** Undefined: the routes lead nowhere. */
  by: string | undefined
  /** The commands after which they leave by the interface that has the address. */
  rules: readonly string[]
}

/**
 * Tried on a connection over loopback, which gets no further subflow. Needs the userspace path manager and CAP_NET_ADMIN. Never
 * rejects.
 */
export async function trySubflowInterface(
  manager: Pick<PathManager, 'keepsInterface' | 'announce'>,
): Promise<SubflowInterface> {
  const server = createServer(peer => peer.on('error', () => {}).resume())
  try {
    await once(server.listen(0, LOOPBACK), 'listening')
    const { port } = server.address() as AddressInfo
    const socket = connect({ host: LOOPBACK, port, mptcp: 'require', connectTimeout: TIMEOUT_MS })
    socket.on('error', () => {}) // `once` reports those before 'connect'; later ones do not matter
    try {
      await once(socket, 'connect')
      const token = tokenOf(fdOf(socket) ?? -1)
      return token === undefined
        ? { is: 'unknown', why: 'a connection over loopback is TCP' }
        : await ask(manager, token)
    } finally {
      socket.destroy()
    }
  } catch (error) {
    return { is: 'unknown', why: (error as Error).message }
  } finally {
    server.close()
  }
}

async function ask(
  manager: Pick<PathManager, 'keepsInterface' | 'announce'>,
  token: number,
): Promise<SubflowInterface> {
  const kept = await manager.keepsInterface({ token, localId: LOCAL_ID, local: OTHER })
  if (kept === undefined) return { is: 'unknown', why: 'the kernel does not say' }
  if (kept) return { is: 'kept' }
  try {
    await manager.announce({ token, localId: LOCAL_ID, ...OTHER })
    return { is: 'kept-if-announced' }
  } catch (error) {
    return { is: 'ignored', refusal: (error as Error).message }
  }
}

const LOOPBACK = '127.0.0.1'
const TIMEOUT_MS = 1000
const LOCAL_ID = 2
/** A second address of the connection. Loopback is the first interface of each network namespace. */
const OTHER = { address: '127.0.0.2', interfaceIndex: 1 }

/**
 * Of each address that a session may use.
 *
 * @param remotes where the subflows go to, as far as it is known: the addresses of converters
 */
export function leavingOf(network: NetworkState, link: Link, remotes: readonly string[]): Promise<Leaving[]> {
  const usable = link.addresses.filter(({ scope, tentative }) => scope === 'global' && !tentative)
  return Promise.all(
    usable.map(async ({ address, family }) => {
      const remote = remotes.find(each => isIP(each) === family) ?? FAR[family]
      const index = await interfaceFor(address, remote).catch(() => undefined)
      const by = index === undefined ? undefined : (network.links.get(index)?.name ?? `interface ${index}`)
      return { address, by, rules: sourceRouting(network, link.index, address) }
    }),
  )
}

/** Stand for what is beyond all links: RFC 5737, RFC 3849. */
const FAR = { 4: '203.0.113.1', 6: '2001:db8:ffff::1' } as const
