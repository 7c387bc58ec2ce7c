/**
 * A UE that obeys: each line on its standard input is a call of one of `calls`, `{"id":1,"call":"sample","args":[5]}`; the
 * answer is a line with the same id. What is heard without being asked for (events, changes) is an `event` line.
 */
import { execFileSync } from 'node:child_process'
import net from 'node:net'
import { createInterface } from 'node:readline'
import { getSystemErrorName } from 'node:util'
import {
  INFO_MAX,
  IPPROTO_MPTCP,
  SO_BINDTODEVICE,
  SOL_MPTCP,
  SOL_SOCKET,
} from '../../../lib/runtime/kernel/constants.js'
import { native } from '../../../lib/runtime/kernel/native.js'
import { reactor } from '../../../lib/runtime/kernel/reactor.js'
import { Sampler, subflowAddresses } from '../../../lib/runtime/kernel/sampler.js'
import { openLinkMonitor } from '../../../lib/runtime/network/link-monitor.js'
import { openPathManager, pathManagerType } from '../../../lib/runtime/network/path-manager.js'
import { decodeMptcpInfo } from '../../../lib/wire/kernel/mptcp-info.js'
import { blockFor } from '../../support/block-for.js'
import { writePattern } from './pattern.js'

/** Nanoseconds of the clock that all processes share. */
const now = () => String(process.hrtime.bigint())
const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`)

const addon = native()
const manager = await openPathManager()
manager.on('event', event => say({ event: 'pm', at: now(), ...event }))
manager.on('overrun', () => say({ event: 'overrun' }))
const monitor = await openLinkMonitor()
monitor.on('change', (_before, _now, reasons) => say({ event: 'change', at: now(), reasons }))

const sockets = new Map<number, net.Socket>()
const tokenOf = (fd: number) => decodeMptcpInfo(addon.getsockopt(fd, SOL_MPTCP, 1, INFO_MAX)).token

function adopt(fd: number): { fd: number; token: number | undefined } {
  const socket = new net.Socket({ fd })
  socket.on('error', () => {})
  sockets.set(fd, socket)
  return { fd, token: tokenOf(fd) }
}

const calls = {
  privileges: () => ({ mayAdminister: manager.mayAdminister, receivesEvents: manager.receivesEvents }),
  pathManagerType,

  /** Bound to the interface, and connected. */
  async connect(host: string, port: number, device: string) {
    const fd = addon.socket(host.includes(':') ? 6 : 4, IPPROTO_MPTCP)
    addon.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, Buffer.from(`${device}\0`))
    addon.connect(fd, host, port)
    const errno = await new Promise<number>(resolve => reactor().awaitConnected(fd, resolve))
    if (errno !== 0) throw new Error(`connect ${getSystemErrorName(-errno)}`)
    addon.release(fd)
    return adopt(fd)
  },
  /** The next connection of a listener. */
  accept(address: string, port: number) {
    const fd = addon.socket(address.includes(':') ? 6 : 4, IPPROTO_MPTCP)
    addon.bind(fd, address, port)
    addon.listen(fd, 16)
    addon.release(fd)
    const server = net.createServer(socket => {
      sockets.set(connectionOf(socket), socket)
      socket.resume().on('error', () => {})
      say({ event: 'accepted', fd: connectionOf(socket), token: tokenOf(connectionOf(socket)) })
    })
    server.listen({ fd })
  },
  /** Sends this many bytes of the pattern and the end; resolves with all that comes back. */
  async upload(fd: number, length: number) {
    const socket = sockets.get(fd)!
    let answer = ''
    socket.on('data', text => {
      answer += text
    })
    const ended = new Promise(resolve => socket.on('close', resolve))
    await writePattern(socket, length)
    socket.end()
    await ended
    return answer
  },
  /** Sends without end. */
  flood(fd: number) {
    void writePattern(sockets.get(fd)!, Number.MAX_SAFE_INTEGER)
  },
  /** Sends a little, and reads whatever comes. */
  write(fd: number, text: string) {
    sockets.get(fd)!.resume().write(text)
  },
  close(fd: number) {
    sockets.get(fd)!.resetAndDestroy()
  },

  sample: (...fds: number[]) => new Sampler().sample(Int32Array.from(fds)),
  subflowAddresses,
  watch: (interval: number, interfaces?: string[]) => monitor.watch(interval, interfaces),
  network: () => ({ links: [...monitor.state.links.values()], defaultRoutes: monitor.state.defaultRoutes }),

  createSubflow: manager.createSubflow.bind(manager),
  keepsInterface: manager.keepsInterface.bind(manager),
  destroySubflow: manager.destroySubflow.bind(manager),
  setBackup: manager.setBackup.bind(manager),
  announce: manager.announce.bind(manager),
  removeAnnounced: manager.removeAnnounced.bind(manager),
  endpoints: () => manager.kernel.endpoints(),
  addEndpoint: manager.kernel.addEndpoint.bind(manager.kernel),
  deleteEndpoint: manager.kernel.deleteEndpoint.bind(manager.kernel),
  setEndpointFlags: manager.kernel.setEndpointFlags.bind(manager.kernel),
  limits: () => manager.kernel.limits(),
  setLimits: manager.kernel.setLimits.bind(manager.kernel),

  /** Runs `ip -batch` while nothing else can run here. */
  ipWhileBusy(lines: string[], milliseconds: number) {
    execFileSync('ip', ['-batch', '-'], { input: lines.join('\n') })
    blockFor(milliseconds)
  },
}

export type Calls = typeof calls

function connectionOf(socket: net.Socket): number {
  return (socket as unknown as { _handle: { fd: number } })._handle.fd
}

say({ event: 'ready' })
for await (const line of createInterface(process.stdin)) {
  const { id, call, args } = JSON.parse(line)
  const run = calls[call as keyof Calls] as (...args: unknown[]) => unknown
  void (async () => {
    try {
      say({ id, value: await run(...args) })
    } catch (error) {
      const { name, message, code, errno, syscall, kernelMessage } = error as Record<string, unknown>
      say({ id, error: { name, message, code, errno, syscall, kernelMessage } })
    }
  })()
}
