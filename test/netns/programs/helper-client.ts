/**
 * A client of the steering helper, of which the first argument is its socket: it says whatever it is asked to, right or wrong. Each
 * line on its standard input is a call of one of `calls`, `{"id":1,"call":"raw","args":[…]}`; the answer is a line with the same id.
 */
import { once } from 'node:events'
import { openSync } from 'node:fs'
import net from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  INFO_MAX,
  IPPROTO_MPTCP,
  IPPROTO_TCP,
  MPTCP_INFO,
  SOL_MPTCP,
  SOL_SOCKET,
} from '../../../lib/runtime/kernel/constants.js'
import { native } from '../../../lib/runtime/kernel/native.js'
import { reactor } from '../../../lib/runtime/kernel/reactor.js'
import { decodeMptcpInfo } from '../../../lib/wire/kernel/mptcp-info.js'
import type { PmArguments } from '../../../lib/wire/netlink/mptcp-pm.js'
import {
  decodeHelperReplies,
  encodeHelperRequest,
  HELPER_DATAGRAM_MAX,
  type HelperCommand,
} from '../../../lib/wire/netlink/steering-helper.js'
import { seeded } from '../../support/random.js'

const SO_LINGER = 13

const path = process.argv[2]!
const addon = native()
const tokenOf = (fd: number) => decodeMptcpInfo(addon.getsockopt(fd, SOL_MPTCP, MPTCP_INFO, INFO_MAX)).token ?? 0

/** What is passed instead of a connection. */
const OTHERS = {
  none: () => -1,
  file: () => openSync('/etc/passwd', 'r'),
  unix: () => addon.socketPair()[0],
  tcp: () => addon.socket(4, IPPROTO_TCP),
  unconnected: () => addon.socket(4, IPPROTO_MPTCP),
  datagram: () => addon.datagramSocket(4),
}

interface Link {
  fd: number
  sequence: number
}
const links: Link[] = []

function open(): Link {
  const fd = addon.packetSocket()
  addon.connectToPath(fd, path)
  const link = { fd, sequence: 0 }
  links.push(link)
  return link
}

/** The next reply that is no event; `end`: the helper has closed the connection. */
async function reply(link: Link, milliseconds = 10_000): Promise<unknown> {
  return (await replies(link, 1, milliseconds))[0]
}

/** The next replies that are no events, and why there are no more. */
async function replies({ fd }: Link, count: number, milliseconds = 10_000): Promise<unknown[]> {
  const got: unknown[] = []
  for (const end = performance.now() + milliseconds; performance.now() < end; await sleep(1)) {
    let bytes: Buffer | undefined
    try {
      bytes = addon.receiveDatagram(fd, HELPER_DATAGRAM_MAX)
    } catch (error) {
      return [...got, (error as Error).message]
    }
    if (bytes === undefined) continue
    if (bytes.length === 0) return [...got, 'end']
    for (const { kind, ...rest } of decodeHelperReplies(bytes)) {
      if (kind === 'event') continue
      got.push(kind === 'answer' ? (rest as { errno: number }).errno : ((rest as { code?: string }).code ?? kind))
    }
    if (got.length >= count) return got
  }
  return [...got, 'silence']
}

async function ask(link: Link, command: HelperCommand, given: PmArguments, fd: number): Promise<unknown> {
  addon.sendDatagram(link.fd, encodeHelperRequest(command, ++link.sequence, given), passing(fd))
  return reply(link)
}

const passing = (...fds: number[]) => Int32Array.from(fds.filter(fd => fd >= 0))

/** Sends until nothing more is taken for a while. @returns how many were taken, and why it ended */
async function pour(link: Link, count: number, datagram: (index: number) => [Uint8Array, Int32Array], reads: boolean) {
  let sent = 0
  let idle = 0
  while (sent < count && idle < 1_000) {
    try {
      if (reads) while (addon.receiveDatagram(link.fd, HELPER_DATAGRAM_MAX)?.length) idle = 0
      if (addon.sendDatagram(link.fd, ...datagram(sent))) {
        sent++
        idle = 0
        continue
      }
    } catch (error) {
      return { sent, ended: (error as NodeJS.ErrnoException).code }
    }
    idle++
    await sleep(10)
  }
  return { sent, ended: undefined }
}

let connection = -1
const calls = {
  /** Makes its own connection. @returns its token */
  async connect(host: string, port: number) {
    connection = addon.socket(4, IPPROTO_MPTCP)
    addon.connect(connection, host, port)
    await new Promise<number>(resolve => reactor().awaitConnected(connection, resolve))
    addon.send(connection, Buffer.from('hello'))
    await sleep(200)
    return tokenOf(connection)
  },
  subflows: () => addon.subflowAddresses(connection, 0).length,
  /** One request over a connection of its own. @param passed of `OTHERS`; `own`: the connection */
  async ask(command: HelperCommand, given: PmArguments, passed: keyof typeof OTHERS | 'own' = 'own') {
    const link = open()
    const fd = passed === 'own' ? connection : OTHERS[passed]()
    return await ask(link, command, given, fd).finally(() => addon.close(link.fd))
  },
  /** Bytes, in hexadecimal. */
  async raw(bytes: string) {
    const link = open()
    addon.sendDatagram(link.fd, Buffer.from(bytes, 'hex'), passing())
    return await reply(link).finally(() => addon.close(link.fd))
  },
  /** Several requests in one datagram, with what is passed for each, or with `extra` beside it. @returns the answers in their order */
  async batch(
    requests: [HelperCommand, PmArguments, keyof typeof OTHERS | 'own'][],
    ...extra: (keyof typeof OTHERS)[]
  ) {
    const link = open()
    const bytes = requests.map(([command, given]) => encodeHelperRequest(command, ++link.sequence, given))
    const fds = requests.map(([, , passed]) => (passed === 'own' ? connection : OTHERS[passed]()))
    addon.sendDatagram(link.fd, Buffer.concat(bytes), passing(...fds, ...extra.map(passed => OTHERS[passed]())))
    return await replies(link, requests.length).finally(() => addon.close(link.fd))
  },
  /** So many datagrams of random bytes, most with the right version, with one request or several, and any descriptors. */
  async fuzz(count: number, seed: number) {
    const random = seeded(seed)
    const passable = [-1, connection, ...Object.values(OTHERS).map(make => make())]
    for (let sent = 0; sent < count; ) {
      const link = open()
      const any = (most: number) => Math.floor(random() * most)
      const request = (): Buffer => {
        const length = random() < 0.97 ? 64 : any(200) + 1
        const bytes = Buffer.from(Array.from({ length }, () => random() * 256))
        if (random() < 0.97 && bytes.length >= 16) {
          bytes.set(encodeHelperRequest('hello', 1).subarray(0, 8))
          bytes.writeUInt32LE(any(12), 8)
          if (random() < 0.7) bytes.writeUInt32LE(tokenOf(connection), 12)
          if (random() < 0.7 && bytes.length === 64) {
            bytes.writeUInt32LE(any(8), 16)
            bytes.writeUInt32LE(any(8), 20)
            bytes[24] = bytes[44] = random() < 0.5 ? 4 : 6
          }
        }
        return bytes
      }
      const datagram = (): [Uint8Array, Int32Array] => {
        const count = random() < 0.5 ? 1 : any(20) + 1
        const bytes = Buffer.concat(Array.from({ length: count }, request))
        const passed = random() < 0.7 ? Math.min(count, 16) : any(17)
        return [bytes, passing(...Array.from({ length: passed }, () => passable[any(passable.length)]!))]
      }
      const before = sent
      sent += Math.max(1, (await pour(link, Math.min(200, count - sent), datagram, true)).sent)
      await reply(link, 200)
      addon.close(link.fd)
      if (sent === before) break
    }
    return tokenOf(connection) !== 0
  },
  /** So many requests, read or not. */
  flood(count: number, reads: boolean) {
    const bytes = encodeHelperRequest('watch', 1, { token: tokenOf(connection) })
    return pour(open(), count, () => [bytes, passing(connection)], reads)
  },
  /** The longest time between a request and its answer, in milliseconds. */
  async latency(count: number) {
    const link = open()
    let longest = 0
    for (let i = 0; i < count; i++) {
      const began = performance.now()
      await ask(link, 'watch', { token: tokenOf(connection) }, connection)
      longest = Math.max(longest, performance.now() - began)
      await sleep(5)
    }
    return longest
  },
  /** Listens with TCP, and reads nothing. @returns the port */
  async listen() {
    const server = net.createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as net.AddressInfo).port
  },
  /**
   * Passes TCP sockets whose last close waits for a minute, as they have data that nobody reads. Once this process has been killed, the
   * copies on their way to the helper are the last ones.
   */
  async linger(count: number, port: number) {
    const link = open()
    for (let i = 0; i < count; i++) {
      const fd = addon.socket(4, IPPROTO_TCP)
      addon.connect(fd, '127.0.0.1', port)
      await new Promise<number>(resolve => reactor().awaitConnected(fd, resolve))
      while (addon.send(fd, Buffer.alloc(65_536)) > 0);
      addon.setsockopt(fd, SOL_SOCKET, SO_LINGER, new Uint8Array(Int32Array.of(1, 60).buffer))
      addon.sendDatagram(link.fd, encodeHelperRequest('watch', 1, { token: 1 }), passing(fd))
    }
    return true
  },
  /** Connections to the helper: how many are served. */
  async crowd(count: number) {
    const all = Array.from({ length: count }, open)
    const answers: unknown[] = []
    for (const link of all) {
      try {
        answers.push(await ask(link, 'hello', {}, -1))
      } catch {
        // It has been refused already, and the connection is closed.
        answers.push(await reply(link))
      }
    }
    for (const { fd } of all) addon.close(fd)
    return answers
  },
}

export type HelperCalls = typeof calls

process.stdout.write('{"id":0}\n')
for await (const line of createInterface(process.stdin)) {
  const { id, call, args } = JSON.parse(line)
  const run = calls[call as keyof HelperCalls] as (...args: unknown[]) => unknown
  void (async () => {
    const value = await Promise.resolve()
      .then(() => run(...args))
      .catch((error: Error) => ({ thrown: error.message }))
    process.stdout.write(`${JSON.stringify({ id, value })}\n`)
  })()
}
