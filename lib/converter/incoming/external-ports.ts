/**
 * The sockets that listen for remote hosts: one for each external address and port from the start, so that no other program
 * takes them, and so that the kernel does not answer for a mapping that does not exist. RFC 8803 §5.2: "If no entry is found, the
 * Converter silently ignores the message."
 */
import { createServer, isIPv4, type Server, type Socket } from 'node:net'
import { AtsssError } from '../../errors.js'
import { IPPROTO_TCP, int, SO_REUSEADDR, SOL_SOCKET } from '../../runtime/kernel/constants.js'
import { native } from '../../runtime/kernel/native.js'
import type { FilterOption } from '../../wire/pcp/index.js'
import { keyOf, type Mapping, type Place } from '../pcp/mapping.js'
import { ignoreAll, onlyPeers } from './socket-filter.js'

interface ExternalPort {
  place: Place
  server: Server
  /** A copy of the descriptor, to change the filter with. */
  fd: number
  /** What passes now; `undefined`: nothing. */
  filters: readonly FilterOption[] | undefined
}

export class ExternalPorts {
  readonly #ports = new Map<string, ExternalPort>()
  readonly #accept: (socket: Socket, place: Place) => void
  readonly #failed: (error: Error) => void

  /** @param failed a connection could not be accepted */
  constructor(accept: (socket: Socket, place: Place) => void, failed: (error: Error) => void) {
    this.#accept = accept
    this.#failed = failed
  }

  /** Listens on these places, and lets nothing in yet. @returns those that cannot be listened on, and why */
  async open(places: readonly Place[], backlog: number): Promise<{ place: Place; error: NodeJS.ErrnoException }[]> {
    const refused: { place: Place; error: NodeJS.ErrnoException }[] = []
    for (const place of places)
      try {
        this.#ports.set(keyOf(place), await this.#listen(place, backlog))
      } catch (error) {
        refused.push({ place, error: error as NodeJS.ErrnoException })
      }
    return refused
  }

  /** Lets in the peers that the mappings allow, and no others. Open connections stay. */
  follow(mappings: readonly Mapping[]): void {
    const wanted = new Map(mappings.map(({ external, filters }) => [keyOf(external), filters]))
    for (const [key, port] of this.#ports) {
      const filters = wanted.get(key)
      if (filters === port.filters || JSON.stringify(filters) === JSON.stringify(port.filters)) continue
      port.filters = filters
      const family = isIPv4(port.place.address) ? 4 : 6
      native().attachFilter(port.fd, filters ? onlyPeers(filters, family) : ignoreAll())
    }
  }

  async close(): Promise<void> {
    const closed = [...this.#ports.values()].map(({ server, fd }) => {
      native().close(fd)
      return new Promise<void>(resolve => server.close(() => resolve()))
    })
    this.#ports.clear()
    await Promise.all(closed)
  }

  async #listen(place: Place, backlog: number): Promise<ExternalPort> {
    const addon = native()
    const family = isIPv4(place.address) ? 4 : 6
    const fd = addon.socket(family, IPPROTO_TCP)
    const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, socket =>
      // It may have been accepted before the filter was changed: without a mapping it is ignored.
      this.#ports.get(keyOf(place))?.filters ? this.#accept(socket, place) : socket.destroy(),
    )
    let copy: number
    try {
      addon.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, int(1))
      // Before it listens, so that no SYN is answered.
      attach(fd)
      addon.bind(fd, place.address, place.port)
      addon.listen(fd, backlog)
      copy = addon.duplicate(fd)
    } catch (error) {
      addon.close(fd)
      throw error
    }
    addon.release(fd)
    await new Promise<void>((resolve, reject) => {
      server.once('error', error => {
        addon.close(copy)
        reject(error)
      })
      server.listen({ fd }, backlog, () => {
        server.removeAllListeners('error').on('error', this.#failed)
        resolve()
      })
    })
    return { place, server, fd: copy, filters: undefined }
  }
}

function attach(fd: number): void {
  try {
    native().attachFilter(fd, ignoreAll())
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error
    throw new AtsssError(
      'ERR_CONVERTER_PRIVILEGE',
      'pcp needs CAP_NET_ADMIN: without it this kernel allows no filter on TCP sockets, and would answer at ports that have ' +
        'no mapping. Use sudo, or setcap cap_net_admin+ep on a copy of node',
      { cause: error },
    )
  }
}
