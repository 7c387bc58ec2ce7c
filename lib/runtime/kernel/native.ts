/**
 * The whole native surface, and the only file that loads the addon. A native function is one system call: it returns
 * what the kernel returned, or throws a system error shaped like Node's (`code`, `errno`, `syscall`). TypeScript gives
 * arguments their meaning, their defaults and their checks.
 */
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AtsssError } from '../../errors.js'
import { hasOthersRights } from '../../input/rights.js'
import { otherRuntime } from './other-runtime.js'
import { packageFolder } from './package-files.js'

/** A socket address: a literal without brackets, and a port in host order. */
export interface SocketAddress {
  address: string
  family: 4 | 6
  port: number
}

/** What a wait reports. */
export interface Completion {
  /** As the call that began the wait returned it. */
  id: number
  /** 0, or a positive errno; for `watchEdges` the bitmap of epoll events. */
  status: number
  /** What `awaitBytes` received, also if it ended early: then less than was asked for. */
  bytes?: Buffer
}

export interface Addon {
  /** Whether the addon was built from the sources that this file belongs to. */
  readonly revision: number

  /**
   * `socket(2)` with SOCK_STREAM, SOCK_NONBLOCK and SOCK_CLOEXEC.
   * The descriptor belongs to this environment until `close`, `reset` or `release`. When the environment ends (process
   * exit, a worker terminated), the addon closes those that are still open.
   * @param protocol IPPROTO_MPTCP (262) or IPPROTO_TCP (6)
   */
  socket(family: 4 | 6, protocol: number): number
  /** `socket(2)` with SOCK_DGRAM, SOCK_NONBLOCK and SOCK_CLOEXEC. Belongs to this environment, as with `socket`. */
  datagramSocket(family: 4 | 6): number
  /** `bind(2)`. */
  bind(fd: number, address: string, port: number): void
  /** `connect(2)`. @returns true if the connection is established already, false while it is in progress (EINPROGRESS) */
  connect(fd: number, address: string, port: number): boolean
  /**
   * `sendto(2)` with MSG_FASTOPEN | MSG_NOSIGNAL: connects, and puts as much of `bytes` into the SYN as fits.
   *
   * @returns how many bytes the kernel took, 0 if it connects without them (EINPROGRESS); the caller sends the rest
   */
  sendFastOpen(fd: number, address: string, port: number, bytes: Uint8Array): number
  /** `send(2)` with MSG_NOSIGNAL. @returns how many bytes the kernel took; 0 if none for now (EAGAIN) */
  send(fd: number, bytes: Uint8Array): number
  /** `shutdown(2)` of the sending side: a FIN (RFC 8684 §3.3.3: DATA_FIN) follows the queued bytes. */
  shutdown(fd: number): void
  /** `fcntl(2)` F_DUPFD_CLOEXEC of any descriptor; the copy belongs to this environment. */
  duplicate(fd: number): number
  /**
   * `dup3(2)` with O_CLOEXEC, over any descriptor: the number `over` names what `fd` names, and what it named before is closed.
   * Both keep their owners. What epoll watched by the number `over` is not carried over: it must not be watched.
   */
  replace(fd: number, over: number): void
  /** `socketpair(2)` of AF_UNIX with SOCK_STREAM, SOCK_NONBLOCK and SOCK_CLOEXEC. Both ends belong to this environment. */
  socketPair(): [number, number]
  /** `socket(2)` of AF_UNIX with SOCK_SEQPACKET, SOCK_NONBLOCK and SOCK_CLOEXEC. Belongs to this environment. */
  packetSocket(): number
  /** `connect(2)` to a Unix socket of the file system; it does not wait: EAGAIN if too many others do. */
  connectToPath(fd: number, path: string): void
  /**
   * `sendmsg(2)` of one datagram, with descriptors (SCM_RIGHTS): any ones, of which the receiver gets copies.
   *
   * @param passed at most 16
   * @returns false if there is no room for it now (EAGAIN)
   */
  sendDatagram(fd: number, bytes: Uint8Array, passed: Int32Array): boolean
  /** `recv(2)` of one datagram; empty at the end, `undefined` if there is none (EAGAIN). EMSGSIZE: it is longer than `maxLength`. */
  receiveDatagram(fd: number, maxLength: number): Buffer | undefined
  /** `ioctl(2)` FIONREAD of any descriptor: how many bytes have been received and not read. */
  unread(fd: number): number
  /** `listen(2)`. */
  listen(fd: number, backlog: number): void
  /** `accept4(2)` with SOCK_NONBLOCK and SOCK_CLOEXEC; `undefined` if no connection waits (EAGAIN). Belongs to this environment. */
  accept(fd: number): number | undefined
  /**
   * Cancels waits on the descriptor, then `close(2)`. The descriptor is closed even if this throws, unless it is EBADF:
   * then it does not belong to this environment.
   */
  close(fd: number): void
  /**
   * As `close`, after SO_LINGER {1, 0}: sends a reset to the peer (RFC 8684 §3.5: with MP_FASTCLOSE on MPTCP). Where
   * SO_LINGER is refused, it closes the descriptor without a reset, and throws why.
   */
  reset(fd: number): void
  /** Gives the descriptor to another owner (a libuv handle): cancels waits, and forgets it. */
  release(fd: number): void
  /** `getsockopt(2)`. @returns what the kernel wrote, at most `maxLength` bytes */
  getsockopt(fd: number, level: number, name: number, maxLength: number): Buffer
  /**
   * `getsockopt(2)` of an int, or of the first four bytes of a struct. Cheaper than `getsockopt`: no Buffer, no exception.
   *
   * @returns `undefined` if the socket's protocol has no such option (EOPNOTSUPP, ENOPROTOOPT)
   */
  getsockoptInt(fd: number, level: number, name: number): number | undefined
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
  /** `sendto(2)` the kernel. Its answer can be received as soon as this returns. */
  sendNetlink(fd: number, bytes: Uint8Array): void
  /**
   * `recvfrom(2)`: the next datagram from the kernel, `undefined` if there is none (EAGAIN). Datagrams of other processes
   * are dropped. Throws ENOBUFS if some before it were lost.
   */
  receiveNetlink(fd: number): Buffer | undefined

  /**
   * Writes what the kernel reports about many sockets into `out`, in the layout that sampler.ts reads. Works on any
   * descriptors.
   *
   * @param asking one of `ASKING` in sampler.ts
   * @returns how many of the sockets `out` had room for
   */
  sample(fds: Int32Array, out: Uint8Array, asking: number): number
  /** The subflows of a connection, with their ids in `sample`. A plain TCP connection is its own only one, with the id 0. */
  subflowAddresses(fd: number, asking: number): { id: number; local: SocketAddress; remote: SocketAddress }[]

  /**
   * `execvp(3)`: this process becomes the program, with the environment of this process. Its standard streams block and its signals
   * are the default ones, whatever Node has done to them. Returns only by throwing.
   *
   * @param args with the program's own name as the first one
   */
  execute(file: string, args: readonly string[]): never

  /** How many descriptors this environment owns, and how many waits it has: for tests of leaks. */
  counts(): { descriptors: number; waits: number }

  /**
   * `unlink(2)` of the file, as it is now, just before one of these signals ends the process: in the signal's handler, which then
   * leaves the signal to what handled it before. Only for signals without a listener; with one, Node's own handler replaces this.
   *
   * @returns the number for `forgetAtSignal`; -1: it is not removed (there is no such file, or there are too many)
   */
  removeAtSignal(path: string, signals: Int32Array): number
  forgetAtSignal(number: number): void

  /**
   * Calls `deliver` once for each completion of this reactor's own waits, on this environment's thread. Ticks and
   * microtasks run between two completions, as between two callbacks of Node's own. What `deliver` throws is an uncaught
   * exception. All reactors of an environment share one epoll thread, which the first one starts.
   */
  Reactor: new (
    deliver: (completion: Completion) => void,
  ) => AddonReactor
}

export interface AddonReactor {
  /** Keeps the event loop alive (true), or lets it end (false), whatever the reactor waits for. Initially false. */
  keepAlive(on: boolean): void
  /**
   * Waits until the connection is established or has failed. SO_ERROR is read on the epoll thread, so that a reset just
   * after the handshake does not look like a failed handshake. One shot. One wait at a time per descriptor (else EBUSY).
   *
   * @returns the id of the wait
   */
  awaitConnected(fd: number): number
  /** Receives exactly `length` bytes; fewer only at the end of the stream (status 0) or after an error. One shot. */
  awaitBytes(fd: number, length: number): number
  /** Reports edges (EPOLLET) of `events` until cancelled. Others may watch the descriptor too. */
  watchEdges(fd: number, events: number): number
  /** Ends a wait. From then on the epoll thread does not touch the descriptor, and nothing is delivered. */
  cancel(id: number): void
}

/** Whether this system can open MPTCP sockets, and if not why, and what to do about it. */
export interface Support {
  supported: boolean
  /** Why not, and what to do about it. Set only if not supported. */
  reason?: string
}

/** Of these functions, in native/addon/addon.cc too: raise both with every change. */
const REVISION = 9

let loaded: { addon: Addon; path: string } | undefined

/** The addon. Throws `ERR_ATSSS_ADDON` if none loads on this system: with the files that were tried, and what to do. */
export function native(): Addon {
  loaded ??= load()
  return loaded.addon
}

/** The path of the addon: a prebuilt binary, or one that was built here. Throws as `native` does. */
export function nativeFile(): string {
  loaded ??= load()
  return loaded.path
}

/** Where the addon may be, in this order: what ATSSS_ADDON names, a checkout's build, the package's prebuilt binary. */
function candidates(): string[] {
  const named = hasOthersRights() ? undefined : process.env.ATSSS_ADDON
  // No fallback: if the named one does not load, another one would hide that.
  if (named) return [resolve(named)]
  const root = packageFolder()
  const system = systemName()
  return [
    fileURLToPath(new URL('build/Release/atsss.node', root)),
    fileURLToPath(new URL(`prebuilds/${system}/atsss.node`, root)),
  ]
}

function load(): { addon: Addon; path: string } {
  const other = otherRuntime()
  if (other) throw other
  if (process.platform !== 'linux')
    throw new AtsssError('ERR_ATSSS_ADDON', `MPTCP sockets need Linux; this is ${process.platform}`)
  // An addon could open sockets all the same: what Node's own sockets are refused is not for ours either.
  if (process.allowedNodeEnvironmentFlags.has('--allow-net') && process.permission?.has('net') === false)
    throw forbidden('--allow-net', 'the network')
  const tried: string[] = []
  for (const path of candidates()) {
    if (process.permission?.has('fs.read', path) === false) throw forbidden('--allow-fs-read', `reading ${path}`)
    if (!existsSync(path)) {
      tried.push(`${path}: no such file`)
      continue
    }
    try {
      const addon = loadedFrom(path)
      if (addon.revision === REVISION) return { addon, path }
      tried.push(`${path}: built from another version of the package: rebuild it`)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ERR_DLOPEN_DISABLED')
        throw forbidden('--allow-addons', 'loading native addons')
      throwIfScarce(path)
      tried.push(`${path}: ${(error as Error).message}`)
    }
  }
  throw new AtsssError(
    'ERR_ATSSS_ADDON',
    `no native addon for ${systemName()}: none of the files below loads. Build it with "npm rebuild atsss" (needs a C++ ` +
      `compiler, make and python3${isMusl() ? ON_ALPINE : ''}), in a checkout with "npm install" (needs CMake); or name one in ` +
      'ATSSS_ADDON.\n' +
      tried.map(line => `  tried ${line}`).join('\n'),
  )
}

/** As the folders of prebuilt binaries are named. */
function systemName(): string {
  return `${isMusl() ? 'linuxmusl' : 'linux'}-${process.arch}`
}

const ON_ALPINE = '; on Alpine: apk add build-base linux-headers python3'

/** Throws why the file cannot be opened at this moment (EMFILE, ENFILE, …): the loader's error has that in its text only. */
function throwIfScarce(path: string): void {
  closeSync(openSync(path, 'r'))
}

/** Bundlers replace `require`, and `createRequire` where they see it, by functions of theirs. */
function loadedFrom(path: string): Addon {
  return process.getBuiltinModule('node:module').createRequire(path)(path) as Addon
}

function forbidden(flag: string, what: string): AtsssError {
  return new AtsssError(
    'ERR_ATSSS_ADDON',
    `The native addon cannot be loaded: Node's permission model (--permission, --no-addons) forbids ${what}: start Node with ${flag} too`,
  )
}

/** Looks at the loader of this process. A diagnostic report knows too, but making one resolves the name of every peer. */
function isMusl(): boolean {
  try {
    return readFileSync('/proc/self/maps', 'latin1').includes('/ld-musl-')
  } catch {
    return false
  }
}
