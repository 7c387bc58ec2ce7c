/**
 * The private parts of Node that this library needs. No other file in lib/ touches them (test/socket/node-socket.test.ts).
 *
 * Node may rename any of them in any release. So each has an entry in `INSIDES` that says how to recognise it and what
 * stops working without it. The first connection and the first listener of a thread check the entries: what is missing is
 * a process warning with the code `ATSSS_NODE_INSIDE`, and `ERR_ATSSS_NODE` where nothing works without it.
 */
import diagnostics from 'node:diagnostics_channel'
import { openSync } from 'node:fs'
import { isIPv4, Server, Socket } from 'node:net'
import { constants } from 'node:os'
import { AtsssError, type SystemError } from '../../errors.js'
import { callApplication } from '../../input/application.js'
import { IP_TOS, int, SOL_IP } from './constants.js'
import { native } from './native.js'
import { otherRuntime } from './other-runtime.js'

/**
 * The name of each private field, and the description of each private symbol, as Node 20 to 26 have them.
 * Tests change one to see what happens on a Node that has renamed it.
 */
export const NAMES = {
  /** libuv's handle of a socket or a listener, with `fd`, `open(fd)`, `getpeername(out)`, `setNoDelay(on)`, … */
  handle: '_handle',
  /** Public to read; we write it, since it is Node that would say when the connection is there. */
  connecting: 'connecting',
  /** The name that was looked up; a TLSSocket sends it as SNI. */
  host: '_host',
  /** What `remoteAddress` and `localAddress` remember. */
  peerName: '_peername',
  localName: '_sockname',
  /** Restarts the timer of `setTimeout()`, as activity does. */
  restartTimer: '_unrefTimer',
  /** Public to read; Node writes it while it tries addresses. */
  attemptedAddresses: 'autoSelectFamilyAttemptedAddresses',
  /** Bytes that have left; `bytesWritten` is this and what is buffered. */
  bytesDispatched: '_bytesDispatched',
  /** A readable stream's state; `ended`: the peer has finished. */
  readableState: '_readableState',
  ended: 'ended',
  /** Set by `resetAndDestroy()`. */
  resetting: 'resetAndClosing',
  /** The socket below a TLSSocket. */
  parent: '_parent',
  /** The handle below a TLSSocket's. */
  handleBelow: '_parent',
  /** The method with which a TLSSocket of a client sends its ClientHello: a listener for 'connect'. */
  start: '_start',
  /** Where `_write` and `_writev` of a socket lead, at once or at `'connect'`. */
  write: '_writeGeneric',
  /** The listener that accepted a socket. */
  server: '_server',
  /** The method of net.Server that binds and listens. */
  listen: '_listen2',
  connectionKey: '_connectionKey',
  /** http's request on a socket; `null` while the socket is in the pool of an http.Agent. */
  request: '_httpMessage',
  // Symbols, by description.
  normalizedArgs: 'normalizedArgs',
  noDelay: 'kSetNoDelay',
  keepAlive: 'kSetKeepAlive',
  keepAliveInitialDelay: 'kSetKeepAliveInitialDelay',
  keepAliveInterval: 'kSetKeepAliveInterval',
  keepAliveCount: 'kSetKeepAliveCount',
  typeOfService: 'kSetTOS',
  /** undici's; true while a socket of HTTP/1.1 is idle. */
  undiciIdle: 'no ref',
}

/** A private part of Node that this Node does not have. */
export interface MissingInside {
  /** As Node 26 names it. */
  name: string
  /** Whether nothing works without it. */
  essential: boolean
  /** What does not work. */
  lost: string
}

/** The warning's code. */
export const WARNING_CODE = 'ATSSS_NODE_INSIDE'

// --- checks -----------------------------------------------------------------------------------------------------------

/**
 * Checks what connections need, once in each thread, and warns about what is missing.
 *
 * @param socket one that Node is connecting
 * @returns the error with which the connection has to fail, `ERR_ATSSS_NODE`
 */
export function checkForConnections(socket: Socket): AtsssError | undefined {
  if (connectable !== undefined) return connectable === true ? undefined : nodeError(connectable)
  const other = otherRuntime()
  if (other) return other
  const missing = missingFrom(FOR_CONNECTIONS, socket)
  warn(missing)
  const essential = missing.filter(inside => inside.essential)
  connectable = essential.length === 0 ? true : essential
  return connectable === true ? undefined : nodeError(connectable)
}

/** Checks what listeners need, once in each thread. @returns why MPTCP listeners cannot be opened on this Node */
export function checkForListeners(): AtsssError | undefined {
  if (listenable === undefined) {
    const other = otherRuntime()
    if (other) return other
    const missing = missingFrom(FOR_LISTENERS, new Server())
    warn(missing)
    const essential = missing.filter(inside => inside.essential)
    listenable = essential.length === 0 ? true : essential
  }
  return listenable === true ? undefined : nodeError(listenable)
}

/** Checks, by the next requests, that idle connections in the pools of http.Agent and undici can be recognised. */
export function checkForPools(): void {
  if (poolsChecked) return
  poolsChecked = true
  const http = diagnostics.channel('http.client.request.start')
  const onRequest = (message: unknown) => {
    const { request } = message as { request: { socket?: Socket | null } }
    if (!request.socket) return
    http.unsubscribe(onRequest)
    if (Reflect.get(request.socket, NAMES.request) !== request) warn([MARK_OF_HTTP])
  }
  http.subscribe(onRequest)
  const undici = diagnostics.channel('undici:client:sendHeaders')
  const onHeaders = (message: unknown) => {
    const { socket } = message as { socket?: Socket & { alpnProtocol?: string } }
    if (!socket || socket.alpnProtocol === 'h2') return
    undici.unsubscribe(onHeaders)
    if (symbolOf(socket, NAMES.undiciIdle) === undefined) warn([MARK_OF_UNDICI])
  }
  undici.subscribe(onHeaders)
}

/** Checks what TLS before the connection needs, once in each thread, and warns about what is missing. */
function checkForTls(): boolean {
  if (startable === undefined) {
    const missing = missingFrom(FOR_TLS, undefined)
    warn(missing)
    startable = missing.length === 0
  }
  return startable
}

/** Everything that this Node lacks, for `atsss doctor`. Opens no socket and sends nothing. */
export function missingInsides(): MissingInside[] {
  const socket = new Socket()
  // Node makes the handle, and then waits for a lookup that never answers.
  socket.connect({ host: 'probe.invalid', port: 1, lookup: () => {} })
  const missing = missingFrom(FOR_CONNECTIONS, socket)
  socket.destroy()
  return [...missing, ...missingFrom(FOR_TLS, undefined), ...missingFrom(FOR_LISTENERS, new Server())]
}

// --- the handle -------------------------------------------------------------------------------------------------------

/** The descriptor of an open socket or listener. */
export function fdOf(socket: Socket | Server): number | undefined {
  const fd = handleOf(socket)?.fd
  return fd !== undefined && fd >= 0 ? fd : undefined
}

/** Whether the socket has a descriptor, and is not destroyed. */
export function isOpen(socket: Socket): boolean {
  return !socket.destroyed && fdOf(socket) !== undefined
}

/** Whether Node has made a handle already: with a descriptor, without one yet, or a TLSSocket's. */
export function hasHandle(socket: Socket | Server): boolean {
  return handleOf(socket) !== null && handleOf(socket) !== undefined
}

/** What tells one connection of a socket from the next one. */
export function identityOf(socket: Socket): object | null {
  return handleOf(socket) ?? null
}

/** Whether the event loop waits for the socket. */
export function isReferenced(socket: Socket): boolean {
  return handleOf(socket)?.hasRef?.() !== false
}

/** Puts a descriptor that is connected under the socket's handle. @returns 0, or a negative errno */
export function openHandle(socket: Socket, fd: number): number | undefined {
  return handleOf(socket)?.open?.(fd)
}

/** Closes the handle that a listener was given, before it listens. */
export function dropHandle(server: Server): void {
  handleOf(server)?.close?.()
  Reflect.set(server, NAMES.handle, null)
}

// --- a socket that is being connected ---------------------------------------------------------------------------------

/** The connection is there: `connecting` is false from here on, and the local address is looked up again. */
export function markConnected(socket: Socket): void {
  const insides = insidesOf(socket)
  insides[NAMES.connecting] = false
  insides[NAMES.localName] = null
}

/** What was set on the socket before it was connected: Node keeps it, and sets it after a connect of its own. */
export function setOptionsOnHandle(socket: Socket): void {
  const handle = handleOf(socket)
  if (privateValue(socket, NAMES.noDelay)) handle?.setNoDelay?.(true)
  if (privateValue(socket, NAMES.keepAlive)) {
    const { keepAliveInitialDelay, keepAliveInterval, keepAliveCount } = NAMES
    const how = [keepAliveInitialDelay, keepAliveInterval, keepAliveCount].map(name => privateValue(socket, name))
    handle?.setKeepAlive?.(true, ...how)
  }
  const typeOfService = typeOfServiceOf(socket)
  if (typeOfService !== undefined) handle?.setTypeOfService?.(typeOfService)
}

/** What `setTypeOfService()` was called with, in versions of Node that have it. */
export function typeOfServiceOf(socket: Socket): number | undefined {
  if (!('setTypeOfService' in Socket.prototype)) return undefined
  const value = privateValue(socket, NAMES.typeOfService)
  return typeof value === 'number' ? value : undefined
}

/** As an arrived byte does. */
export function restartTimer(socket: Socket): void {
  insidesOf<(() => void) | undefined>(socket)[NAMES.restartTimer]?.()
}

/** A TLSSocket is not to send the name under which we have asked Node to look up an address. */
export function forgetHost(socket: Socket): void {
  insidesOf(socket)[NAMES.host] = null
}

/** Begins, or continues, the list of addresses that were tried. */
export function beginAttempts(socket: Socket): void {
  Reflect.set(socket, NAMES.attemptedAddresses, [])
}

export function noteAttempt(socket: Socket, address: string, port: number): void {
  const attempted = insidesOf<string[] | undefined>(socket)[NAMES.attemptedAddresses]
  if (Array.isArray(attempted) && !attempted.includes(`${address}:${port}`)) attempted.push(`${address}:${port}`)
}

/**
 * Shows this as the socket's peer: the server or the remote host, and not the converter between them (RFC 8803 §4.2).
 * Also to what is built on the socket: TLS asks the handle.
 */
export function showPeer(socket: Socket, { address, port }: { address: string; port: number }): void {
  const peer = { address, port, family: isIPv4(address) ? 'IPv4' : 'IPv6' }
  Reflect.set(socket, NAMES.peerName, peer)
  const handle = handleOf(socket)
  if (handle) Object.assign(handle, { [PEER]: peer, getpeername: shownPeer })
}

/** On a handle: the peer that is shown. */
const PEER = Symbol('atsss.peer')

/** One function for all handles, as each lives as long as its socket. */
function shownPeer(this: Handle & { [PEER]?: object }, out: object): number {
  Object.assign(out, this[PEER])
  return 0
}

/**
 * Shows IPv4 addresses as those of an IPv4 socket, where the handle's is an IPv6 socket that takes both. Also to what is built on
 * the socket: TLS asks the handle.
 */
export function showPlainAddresses(socket: Socket): void {
  const handle = handleOf(socket)
  if (!handle) return
  handle.getpeername = plainPeerName
  handle.getsockname = plainSockName
  if (!handle.setTypeOfService) return
  handle.setTypeOfService = setTypeOfIpv4
  handle.getTypeOfService = getTypeOfIpv4
}

/** Node goes by the family of the socket, and the kernel has no IPV6_TCLASS for MPTCP sockets. */
function setTypeOfIpv4(this: Handle, value: number): number {
  try {
    native().setsockopt(this.fd!, SOL_IP, IP_TOS, int(value))
    return 0
  } catch (error) {
    return (error as SystemError).errno!
  }
}

function getTypeOfIpv4(this: Handle): number {
  return native().getsockoptInt(this.fd!, SOL_IP, IP_TOS) ?? -constants.errno.EOPNOTSUPP
}

/** One function for all handles: a connection is kept small. */
function plainPeerName(this: Handle, out: NodeAddress): number {
  return plainName(out, Reflect.apply(inherited(this).getpeername!, this, [out]))
}

function plainSockName(this: Handle, out: NodeAddress): number {
  return plainName(out, Reflect.apply(inherited(this).getsockname!, this, [out]))
}

interface NodeAddress {
  address?: string
  family?: string
}

function plainName(out: NodeAddress, status: number): number {
  const { address = '' } = out
  const plain = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : ''
  if (isIPv4(plain)) Object.assign(out, { address: plain, family: 'IPv4' })
  return status
}

function inherited(handle: Handle): Handle {
  return Object.getPrototypeOf(handle) as Handle
}

// --- TLS before the connection is there -------------------------------------------------------------------------------

/**
 * Whether a TLSSocket of a client that waits for `'connect'` can be started before: by `startTls`, on a stand-in.
 *
 * @param carrier the socket whose connection is being made: the TLSSocket itself, or the one below it
 */
export function canStartTls(secure: Socket, carrier: Socket): boolean {
  if (secure.destroyed || carrier.destroyed || !carrier.connecting || !secure.connecting) return false
  if (typeof handleOf(carrier)?.open !== 'function' || fdOf(carrier) !== undefined || !handleOf(secure)) return false
  return checkForTls() && secure.listeners('connect').includes(Reflect.get(secure, NAMES.start) as () => void)
}

/**
 * Opens the handle of a socket on a descriptor that stands in for the connection. What was set on the handle before cannot
 * be set on the stand-in: `setOptionsOnHandle` sets it on the connection.
 *
 * @returns 0, or a negative errno
 */
export function openStandIn(carrier: Socket, fd: number): number {
  const handle = handleOf(carrier)!
  handle.setNoDelay?.(false)
  handle.setKeepAlive?.(false, 0)
  const status = handle.open?.(fd) ?? -constants.errno.EBADF
  // As without a stand-in: there is no local address yet.
  if (status >= 0) handle.getsockname = () => -constants.errno.EBADF
  return status
}

/** The connection has taken the place of its stand-in. */
export function standInReplaced(carrier: Socket): void {
  Reflect.deleteProperty(handleOf(carrier)!, 'getsockname')
}

/**
 * Lets a TLSSocket write its ClientHello to its handle, now. It reads, and writes more, after `'connect'`. An error, as of
 * options that leave no version of TLS, is reported where Node reports it: with `'connect'`.
 *
 * @returns false: there is no ClientHello
 */
export function startTls(secure: Socket): boolean {
  const start = Reflect.get(secure, NAMES.start) as () => void
  const handle = handleOf(secure)!
  const { onerror } = handle
  let failed: { error: unknown } | undefined
  handle.onerror = error => {
    failed ??= { error }
  }
  // May call the application: for the option `pskCallback`.
  callApplication(() => {
    secure.off('connect', start)
    Reflect.set(secure, NAMES.connecting, false)
    Reflect.apply(start, secure, [])
  })
  handle.onerror = onerror
  if (secure.destroyed) return false
  Reflect.set(secure, NAMES.connecting, true)
  if (failed) {
    const { error } = failed
    secure.prependOnceListener('connect', () => void (onerror && Reflect.apply(onerror, handle, [error])))
  } else holdEmptyWrites(secure)
  return failed === undefined
}

/**
 * Node's TLS finishes an empty write when the bytes before it have left. At `'connect'` that is after the handshake, since the
 * ClientHello is still leaving. An early one has left. So an empty write waits here for the handshake: the end of the stream behind
 * it, as of `end('')`, would overtake the handshake.
 */
function holdEmptyWrites(secure: Socket): void {
  const write = Reflect.get(secure, NAMES.write) as WriteGeneric
  const held: WriteGeneric = function (isList, data, encoding, done) {
    const isEmpty = isList ? (data as WrittenChunk[]).every(({ chunk }) => chunk.length === 0) : data.length === 0
    if (!isEmpty) return write.call(this, isList, data, encoding, done)
    const closed = () => done(new AtsssError('ERR_ATSSS_CLOSED', 'The connection was closed before its TLS handshake'))
    this.once('close', closed).once('secure', () => {
      this.off('close', closed)
      write.call(this, isList, data, encoding, done)
    })
  }
  Reflect.set(secure, NAMES.write, held)
  secure.once('secure', () => {
    if (Reflect.get(secure, NAMES.write) === held) Reflect.deleteProperty(secure, NAMES.write)
  })
}

type WrittenChunk = { chunk: string | Uint8Array }
type WriteGeneric = (
  this: Socket,
  isList: boolean,
  data: WrittenChunk[] | string | Uint8Array,
  encoding: string,
  done: (error?: Error) => void,
) => void

/** The error of a TLSSocket that has been started, and has written nothing. */
export function noHello(): AtsssError {
  startable = false
  warn([HELLO])
  return nodeError([HELLO])
}

// --- a socket at its end ----------------------------------------------------------------------------------------------

/** Whether the peer has sent the end of its stream. */
export function peerHasEnded(socket: Socket): boolean {
  const state = Reflect.get(socket, NAMES.readableState) as object | undefined
  return state !== undefined && Reflect.get(state, NAMES.ended) === true
}

/** Whether `resetAndDestroy()` is closing the socket. */
export function isResetting(socket: Socket): boolean {
  return Reflect.get(socket, NAMES.resetting) === true
}

// --- others' sockets --------------------------------------------------------------------------------------------------

/** Whether the socket is above another one, as a TLSSocket can be. */
export function isAboveAnother(socket: Socket): boolean {
  return Reflect.get(socket, NAMES.parent) != null
}

/** The socket that has the descriptor: the one below a TLSSocket, or this one. */
export function lowestSocket(socket: Socket): Socket {
  const parent = Reflect.get(socket, NAMES.parent)
  return parent instanceof Socket ? lowestSocket(parent) : socket
}

/** Whether these are arguments that Node has put in order: `[options, listener]`. Any other array is for Node to refuse. */
export function isNormalized(args: unknown): args is [options: object | undefined, listener: unknown] {
  if (!Array.isArray(args)) return false
  if (Object.getOwnPropertySymbols(args).some(({ description }) => description === NAMES.normalizedArgs)) return true
  const [options, listener] = args as unknown[]
  const looksLike = typeof options === 'object' && (listener === null || typeof listener === 'function')
  if (args.length === 2 && looksLike) warn([MARK_OF_ARGUMENTS])
  return false
}

/** Whether an http.Agent has the socket in its pool. `undefined`: the socket is not http's. */
export function isIdleInHttp(socket: Socket): boolean | undefined {
  const request = Reflect.get(socket, NAMES.request)
  return request === undefined ? undefined : request === null
}

/** Whether undici has the socket in its pool. False for HTTP/2, whose connections it shares between requests. */
export function isIdleInUndici(socket: Socket & { alpnProtocol?: string | false | null }): boolean {
  const symbol = symbolOf(socket, NAMES.undiciIdle)
  return socket.alpnProtocol !== 'h2' && symbol !== undefined && Reflect.get(socket, symbol) === true
}

// --- listeners --------------------------------------------------------------------------------------------------------

/** The arguments with which net.Server binds and listens: checked, and the host looked up. */
export type ListenArguments = [
  address: string | null,
  port: number | null,
  family: number | null,
  backlog: number,
  fd?: number | undefined,
  flags?: number | undefined,
]

/** Makes `listen` the method with which a class of servers binds and listens. On a handle, or a descriptor, it only listens. */
export function overrideListen<S extends Server>(
  prototype: S,
  listen: (this: S, ...args: ListenArguments) => void,
): void {
  Object.defineProperty(prototype, NAMES.listen, { configurable: true, writable: true, value: listen })
}

/** As net.Server does it. */
export function listenAsNode(server: Server, args: ListenArguments): void {
  Reflect.apply(Reflect.get(Server.prototype, NAMES.listen) as () => void, server, args)
}

/** Where a listener is, as `family:address:port`; Node keeps it for those who look. */
export function setConnectionKey(server: Server, key: string): void {
  Reflect.set(server, NAMES.connectionKey, key)
}

/** The listener that accepted the socket. */
export function serverOf(socket: Socket): Server | undefined {
  return (Reflect.get(socket, NAMES.server) as Server | null | undefined) ?? undefined
}

/** An http.Server answers a client that has sent everything and waits (undocumented option of http.Server). */
export function allowHalfOpenHttp(server: Server): void {
  Object.assign(server, { httpAllowHalfOpen: true })
}

// --- how each is recognised -------------------------------------------------------------------------------------------

interface Handle {
  fd?: number
  open?(fd: number): number
  close?(): void
  hasRef?(): boolean
  getpeername?(out: object): number
  getsockname?(out: object): number
  onerror?: ((error: unknown) => void) | undefined
  setNoDelay?(on: boolean): number
  setKeepAlive?(on: boolean, ...how: unknown[]): number
  setTypeOfService?(value: number): number
  getTypeOfService?(): number
}

function handleOf(socket: Socket | Server): Handle | null | undefined {
  return insidesOf<Handle | null | undefined>(socket)[NAMES.handle]
}

/** For those that each connection needs: V8 remembers where a property is that is read so, and not where `Reflect` has found it. */
function insidesOf<T = unknown>(socket: Socket | Server): Record<string | symbol, T> {
  return socket as unknown as Record<string | symbol, T>
}

/** An inside, and whether it is there: on a socket that Node is connecting, or on a listener. */
interface Inside<S> extends MissingInside {
  isThere(sample: S): boolean
}

const FOR_CONNECTIONS: readonly Inside<Socket>[] = [
  {
    name: '_handle',
    essential: true,
    lost: 'connections cannot be made over MPTCP',
    isThere: socket => typeof handleOf(socket)?.open === 'function' && typeof handleOf(socket)?.fd === 'number',
  },
  {
    name: 'a writable "connecting"',
    essential: true,
    lost: 'connections cannot be made over MPTCP',
    isThere: () => {
      const fresh = new Socket()
      return Object.hasOwn(fresh, NAMES.connecting) && Reflect.set(fresh, NAMES.connecting, true) && fresh.connecting
    },
  },
  {
    name: '_host',
    essential: false,
    lost: 'TLS to an address under the preload sends a name that does not exist as SNI',
    isThere: () => Object.hasOwn(new Socket(), NAMES.host),
  },
  {
    name: '_peername',
    essential: false,
    lost: 'remoteAddress and remotePort may be the converter, not the server',
    isThere: () => {
      const fresh = new Socket()
      return Reflect.set(fresh, NAMES.peerName, { address: '192.0.2.1' }) && fresh.remoteAddress === '192.0.2.1'
    },
  },
  {
    name: '_handle.getpeername',
    essential: false,
    lost: 'remoteAddress of a TLSSocket may be the converter, not the server',
    isThere: socket => typeof handleOf(socket)?.getpeername === 'function',
  },
  {
    name: '_sockname',
    essential: false,
    lost: 'localAddress and localPort may be out of date where they are read before the connection is there',
    isThere: () => Object.hasOwn(new Socket(), NAMES.localName),
  },
  {
    name: '_unrefTimer',
    essential: false,
    lost: "setTimeout() counts from the call of connect(): attempts to connect do not restart it, as Node's do",
    isThere: () => typeof Reflect.get(Socket.prototype, NAMES.restartTimer) === 'function',
  },
  {
    name: 'a writable "autoSelectFamilyAttemptedAddresses"',
    essential: false,
    lost: 'autoSelectFamilyAttemptedAddresses stays empty',
    isThere: () => Reflect.set(new Socket(), NAMES.attemptedAddresses, []),
  },
  {
    name: '_bytesDispatched',
    essential: false,
    lost: 'bytesWritten leaves out the bytes that were sent with the SYN or right behind it',
    isThere: () => {
      const fresh = new Socket()
      Object.defineProperty(fresh, NAMES.bytesDispatched, { value: 7 })
      return fresh.bytesWritten === 7
    },
  },
  {
    name: '_readableState.ended',
    essential: false,
    lost: 'a connection that both sides have ended is kept for up to a minute after its socket is closed',
    isThere: () => {
      const state = Reflect.get(new Socket(), NAMES.readableState) as object | undefined
      return typeof state === 'object' && typeof Reflect.get(state, NAMES.ended) === 'boolean'
    },
  },
  {
    name: 'resetAndClosing',
    essential: false,
    lost: 'resetAndDestroy() may end a connection without a reset',
    isThere: () => {
      const seen = { destroy: () => {} }
      const reset = Reflect.get(Socket.prototype, '_reset')
      if (typeof reset === 'function') Reflect.apply(reset, seen, [])
      return Reflect.get(seen, NAMES.resetting) === true
    },
  },
  {
    name: '_parent',
    essential: false,
    lost: 'the preload may take a TLSSocket whose connection somebody else makes; TLS connections in pools stay open when rules or accesses no longer allow them',
    isThere: () => Object.hasOwn(new Socket(), NAMES.parent),
  },
  {
    name: 'kSetNoDelay',
    essential: false,
    lost: 'noDelay is not applied where it was set before the connection was there',
    isThere: () => privateValue(new Socket().setNoDelay(true), NAMES.noDelay) === true,
  },
  {
    name: 'kSetKeepAlive, kSetKeepAliveInitialDelay',
    essential: false,
    lost: 'keepAlive is not applied where it was set before the connection was there',
    isThere: () => {
      const fresh = new Socket().setKeepAlive(true, 7_000)
      return privateValue(fresh, NAMES.keepAlive) === true && privateValue(fresh, NAMES.keepAliveInitialDelay) === 7
    },
  },
  {
    name: 'kSetTOS',
    essential: false,
    lost: 'typeOfService is not applied where it was set before the connection was there',
    isThere: () => {
      const fresh = new Socket() as Socket & { setTypeOfService?(value: number): void }
      if (!fresh.setTypeOfService) return true
      fresh.setTypeOfService(4)
      return typeOfServiceOf(fresh) === 4
    },
  },
]

const HELLO: MissingInside = {
  name: 'a TLSSocket that sends its ClientHello at once when it is started',
  essential: false,
  lost: "TLS begins after 'connect', which takes a round trip more through a converter",
}

const FOR_TLS: readonly Inside<undefined>[] = [{ ...HELLO, isThere: sendsHelloAtOnce }]

/** Starts TLS on a descriptor that swallows what is written. */
function sendsHelloAtOnce(): boolean {
  // Loaded late: most connections do not need it, and a program that has a TLSSocket has loaded it already.
  const { createSecureContext, TLSSocket } = process.getBuiltinModule('node:tls')
  const secure = new TLSSocket(undefined as never, { secureContext: createSecureContext({ ca: [] }) })
  try {
    const start = Reflect.get(secure, NAMES.start)
    const handle = handleOf(secure)
    if (typeof Reflect.get(secure, NAMES.write) !== 'function') return false
    if (typeof start !== 'function' || handle?.open?.(openSync('/dev/null', 'w')) !== 0) return false
    Reflect.set(secure, NAMES.connecting, false)
    Reflect.apply(start, secure, [])
    // What the handle below has sent: TLS counts only what it encrypts.
    const below = Reflect.get(handle, NAMES.handleBelow) as { bytesWritten: number }
    return below.bytesWritten > 0 && typeof handle.onerror === 'function'
  } finally {
    secure.destroy()
  }
}

const NO_LISTENERS = 'listeners cannot be opened with MPTCP'

const FOR_LISTENERS: readonly Inside<Server>[] = [
  {
    name: 'net.Server._listen2',
    essential: true,
    lost: NO_LISTENERS,
    isThere: () => typeof Reflect.get(Server.prototype, NAMES.listen) === 'function',
  },
  {
    name: 'net.Server._handle',
    essential: true,
    lost: NO_LISTENERS,
    isThere: server => Object.hasOwn(server, NAMES.handle),
  },
  {
    name: '_server',
    essential: false,
    lost: 'mptcp.fallback of an accepted socket does not say why its listener speaks TCP',
    isThere: () => Object.hasOwn(new Socket(), NAMES.server),
  },
]

const MARK_OF_ARGUMENTS: MissingInside = {
  name: 'the symbol normalizedArgs',
  essential: false,
  lost: "the preload does not take the connections that Node's own modules make",
}
const MARK_OF_HTTP: MissingInside = {
  name: '_httpMessage',
  essential: false,
  lost: 'under the preload, idle connections of an http.Agent stay open when rules or accesses no longer allow them',
}
const MARK_OF_UNDICI: MissingInside = {
  name: "undici's symbol 'no ref'",
  essential: false,
  lost: 'idle connections of undici and fetch stay open when rules or accesses no longer allow them',
}

/** `true`, or the essential ones that are missing; undefined before the first check of this thread. */
let connectable: true | readonly MissingInside[] | undefined
let listenable: true | readonly MissingInside[] | undefined
let startable: boolean | undefined
let poolsChecked = false
/** Those that this thread has been warned about. */
const warned = new Set<string>()

function missingFrom<S>(insides: readonly Inside<S>[], sample: S): MissingInside[] {
  return insides
    .filter(inside => !passes(inside, sample))
    .map(({ name, essential, lost }) => ({ name, essential, lost }))
}

function passes<S>(inside: Inside<S>, sample: S): boolean {
  try {
    return inside.isThere(sample)
  } catch {
    return false
  }
}

function warn(missing: readonly MissingInside[]): void {
  for (const { name, essential, lost } of missing) {
    if (warned.has(name)) continue
    warned.add(name)
    process.emitWarning(`This Node (${process.version}) does not have ${name}, which atsss uses: ${lost}.`, {
      type: 'AtsssWarning',
      code: WARNING_CODE,
      detail: `${essential ? '' : 'Everything else works. '}${REMEDY}`,
    })
  }
}

function nodeError(missing: readonly MissingInside[]): AtsssError {
  const names = missing.map(({ name }) => name).join(', ')
  const lost = [...new Set(missing.map(({ lost }) => lost))].join('; ')
  return new AtsssError('ERR_ATSSS_NODE', `This Node (${process.version}) does not have ${names}: ${lost}. ${REMEDY}`)
}

const REMEDY = 'Use a newer version of atsss, or Node 20, 22, 24 or 26, with which this one was tested.'

/** Symbols by description: the same one in all sockets of a thread, except undici's, of which each copy has its own. */
const symbols = new Map<string, symbol>()

function privateValue(socket: Socket, description: string): unknown {
  let symbol = symbols.get(description)
  if (symbol === undefined) {
    symbol = symbolOf(socket, description)
    if (symbol === undefined) return undefined
    symbols.set(description, symbol)
  }
  return insidesOf(socket)[symbol]
}

function symbolOf(socket: Socket, description: string): symbol | undefined {
  return Object.getOwnPropertySymbols(socket).find(symbol => symbol.description === description)
}
