/**
 * The whole native surface, and the only file that loads it. A native function is one syscall: it returns what the
 * kernel returned, or throws a system error shaped like Node's (`code`, `errno`, `syscall`). What arguments mean,
 * their defaults and their checks live in TypeScript.
 */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AtsssError } from '../../errors.js'

/** An address as the kernel's sockaddr says it: a literal without brackets, and a port in host order. */
export interface SocketAddress {
  address: string
  family: 4 | 6
  port: number
}

/**
 * One finished wait, as the reactor reports it.
 * `status` is 0, or a positive errno; for `watchEdges` it is the epoll events bitmap.
 * `bytes` holds what was received by `awaitBytes`, also when it ended early (shorter than asked for).
 */
export interface Completion {
  id: number
  status: number
  bytes?: Buffer
}

export interface Addon {
  /**
   * `socket(2)` with SOCK_STREAM, SOCK_NONBLOCK and SOCK_CLOEXEC.
   * The descriptor belongs to this environment until `close`, `reset` or `release`: what is still open when the
   * environment ends (process exit, a worker terminated) is closed by the addon.
   * @param protocol IPPROTO_MPTCP (262) or IPPROTO_TCP (6)
   */
  socket(family: 4 | 6, protocol: number): number
  /** `socket(2)` with SOCK_DGRAM, SOCK_NONBLOCK and SOCK_CLOEXEC; belongs to this environment as one of `socket`. */
  datagramSocket(family: 4 | 6): number
  /** `bind(2)`. */
  bind(fd: number, address: string, port: number): void
  /** `connect(2)`; false when the connection is being made (EINPROGRESS), true when it is there already. */
  connect(fd: number, address: string, port: number): boolean
  /**
   * `sendto(2)` with MSG_FASTOPEN | MSG_NOSIGNAL: connects, and puts what fits of `bytes` into the SYN.
   * @returns how many bytes the kernel took; 0 when it went ahead without them (EINPROGRESS), the caller sends the rest
   */
  sendFastOpen(fd: number, address: string, port: number, bytes: Uint8Array): number
  /** `send(2)` with MSG_NOSIGNAL; 0 when nothing can be taken now (EAGAIN). */
  send(fd: number, bytes: Uint8Array): number
  /** `shutdown(2)` of the sending side: FIN (RFC 8684 §3.3.3: DATA_FIN) after what is queued. */
  shutdown(fd: number): void
  /** `fcntl(2)` F_DUPFD_CLOEXEC of any descriptor; the copy belongs to this environment. */
  duplicate(fd: number): number
  /** `ioctl(2)` FIONREAD of any descriptor: how many bytes have been received and not read. */
  unread(fd: number): number
  /** `listen(2)`. */
  listen(fd: number, backlog: number): void
  /** `accept4(2)` with SOCK_NONBLOCK and SOCK_CLOEXEC; `undefined` when nobody waits (EAGAIN). Belongs to this environment. */
  accept(fd: number): number | undefined
  /** `close(2)`. Waits on the descriptor are cancelled first. EBADF for a descriptor the environment does not own. */
  close(fd: number): void
  /** SO_LINGER {1, 0}, then `close(2)`: a reset (RFC 8684 §3.5: with MP_FASTCLOSE on MPTCP) goes to the peer. */
  reset(fd: number): void
  /** The descriptor has found another owner (a libuv handle): waits are cancelled, and the addon forgets it. */
  release(fd: number): void
  /** `getsockopt(2)`: what the kernel wrote, at most `maxLength` bytes. */
  getsockopt(fd: number, level: number, name: number, maxLength: number): Buffer
  /** `setsockopt(2)`. */
  setsockopt(fd: number, level: number, name: number, value: Uint8Array): void
  /** `setsockopt(2)` SO_ATTACH_FILTER of any descriptor. @param program `struct sock_filter[]`: 8 bytes each, host order */
  attachFilter(fd: number, program: Uint8Array): void
  /** `getsockname(2)`. */
  getsockname(fd: number): SocketAddress
  /** `getpeername(2)`. */
  getpeername(fd: number): SocketAddress

  /**
   * `socket(2)` of AF_NETLINK with SOCK_RAW, SOCK_NONBLOCK and SOCK_CLOEXEC, then `bind(2)`. Belongs to this environment.
   * @param protocol NETLINK_ROUTE (0), NETLINK_GENERIC (16)
   * @param groups the bitmap of multicast groups; 0: none
   */
  netlinkSocket(protocol: number, groups: number): number
  /** `sendto(2)` the kernel. What it answers is there to be received when this returns. */
  sendNetlink(fd: number, bytes: Uint8Array): void
  /**
   * `recvfrom(2)`: the next datagram from the kernel (other processes' are dropped), `undefined` when there is none
   * (EAGAIN). Throws ENOBUFS when some before it were lost.
   */
  receiveNetlink(fd: number): Buffer | undefined

  /**
   * The counters of many sockets, written into `out` in the layout of sampler.ts. Of any descriptors.
   * @param asking `ASKING` of sampler.ts
   * @returns of how many of the sockets there was room for the record
   */
  sample(fds: Int32Array, out: Float64Array, asking: number): number
  /** The subflows of a connection, with their ids in `sample`; of a plain TCP connection itself, with the id 0. */
  subflowAddresses(fd: number, asking: number): { id: number; local: SocketAddress; remote: SocketAddress }[]

  /**
   * The one function that hears of finished waits, of each by itself, on this environment's thread: before the next one
   * come the ticks and microtasks that it has brought about, as between two callbacks of Node's own.
   * Starts the reactor (an epoll thread) on its first call.
   */
  onCompletion(deliver: (completion: Completion) => void): void
  /** Keeps the event loop alive (true), or lets it end (false), whatever is being waited for. Initially false. */
  keepAlive(on: boolean): void
  /**
   * Waits until the connection is made or has failed; SO_ERROR is read on the reactor's thread, so that a reset just
   * after the handshake does not pass for a failed one. One shot. One wait at a time per descriptor (else EBUSY).
   * @returns the id of the wait
   */
  awaitConnected(fd: number): number
  /** Receives exactly `length` bytes, none more; fewer only at the end of the stream (status 0) or on an error. One shot. */
  awaitBytes(fd: number, length: number): number
  /** Reports edges (EPOLLET) of `events` until cancelled; the descriptor may also be watched by others. */
  watchEdges(fd: number, events: number): number
  /** Ends a wait. After the return the reactor's thread no longer touches the descriptor, and nothing is reported. */
  cancel(id: number): void
  /** How many descriptors this environment owns, and how many waits it has: for tests of leaks. */
  counts(): { descriptors: number; waits: number }
}

/** Whether this system can open MPTCP sockets, and if not why, and what to do about it. */
export interface Support {
  supported: boolean
  /** Set when not supported: a sentence with the remedy. */
  reason?: string
}

let loaded: { addon: Addon; path: string } | undefined

/** The addon; throws `ERR_ATSSS_ADDON` with what was tried and what to do when there is none for this system. */
export function native(): Addon {
  loaded ??= load()
  return loaded.addon
}

/** The file of the addon: of a prebuilt binary, or of one that was built here. Throws as `native` does. */
export function nativeFile(): string {
  loaded ??= load()
  return loaded.path
}

/**
 * Where an addon may be, in this order: the environment's word, a checkout's build, the package's prebuilt binary.
 */
function candidates(): string[] {
  const root = new URL('../../../', import.meta.url)
  const system = `${isMusl() ? 'linuxmusl' : 'linux'}-${process.arch}`
  const named = process.env.ATSSS_ADDON
  // Whoever names one wants that one, and no other in its place.
  if (named) return [resolve(named)]
  return [
    fileURLToPath(new URL('build/Release/atsss.node', root)),
    fileURLToPath(new URL(`prebuilds/${system}/atsss.node`, root)),
  ]
}

function load(): { addon: Addon; path: string } {
  if (process.platform !== 'linux')
    throw new AtsssError('ERR_ATSSS_ADDON', `MPTCP sockets need Linux; this is ${process.platform}`)
  const require = createRequire(import.meta.url)
  const tried: string[] = []
  for (const path of candidates()) {
    if (!existsSync(path)) {
      tried.push(`${path}: not there`)
      continue
    }
    try {
      return { addon: require(path) as Addon, path }
    } catch (error) {
      tried.push(`${path}: ${(error as Error).message}`)
    }
  }
  throw new AtsssError(
    'ERR_ATSSS_ADDON',
    `no native addon for ${process.platform}-${process.arch}. "npm rebuild atsss" builds it (a C++ compiler, make, python3), ` +
      'in a checkout "npm install" (CMake); or name one in ATSSS_ADDON.\n' +
      tried.map(line => `  tried ${line}`).join('\n'),
  )
}

/** By the loader that this process was started with. A diagnostic report knows too, but asks the DNS about every socket. */
function isMusl(): boolean {
  try {
    return readFileSync('/proc/self/maps', 'latin1').includes('/ld-musl-')
  } catch {
    return false
  }
}
