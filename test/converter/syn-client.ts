/**
 * Clients that say exactly what they are told to, for tests in network namespaces: `tsx syn-client.ts '{…}'`, with a
 * `SynClientTask`. Prints a `SynClientResult` as one JSON line.
 */
import {
  INFO_MAX,
  IPPROTO_MPTCP,
  IPPROTO_TCP,
  int,
  MPTCP_INFO,
  SOL_MPTCP,
  SOL_TCP,
  TCP_FASTOPEN_NO_COOKIE,
  TCP_INFO,
} from '../../lib/runtime/kernel/constants.js'
import { native } from '../../lib/runtime/kernel/native.js'
import { reactor } from '../../lib/runtime/kernel/reactor.js'
import { decodeTcpInfo } from '../../lib/wire/kernel/tcp-info.js'

export interface SynClientTask {
  address: string
  port: number
  /** Goes out with the SYN, in hexadecimal; without any it is an ordinary connect. */
  syn: string
  /** Goes out after the handshake. */
  more?: string
  /** Bytes to wait for. */
  expect: number
  /** Milliseconds to wait. */
  wait: number
  /** @defaultValue true */
  mptcp?: boolean
  /** How many do so at once. @defaultValue 1 */
  clients?: number
}

/** Of the first client; times in milliseconds since the SYN. */
export interface SynClientResult {
  /** How many bytes the kernel took with the SYN. */
  taken: number
  connectedAt?: number
  answeredAt?: number
  bytes: string
  errno: number
  timedOut: boolean
  synDataAcked?: boolean
  mptcp: boolean
  /** How many clients heard all they expected, and how many of these the same as the first. */
  answered: number
  right: number
}

const task = JSON.parse(process.argv[2]!) as SynClientTask
const addon = native()

const results = await Promise.all(Array.from({ length: task.clients ?? 1 }, say))
const answered = results.filter(({ bytes }) => bytes.length === 2 * task.expect)
const right = answered.filter(({ bytes }) => bytes === results[0]!.bytes)
process.stdout.write(`${JSON.stringify({ ...results[0], answered: answered.length, right: right.length })}\n`, () =>
  process.exit(0),
)

async function say(): Promise<Omit<SynClientResult, 'answered' | 'right'>> {
  const fd = addon.socket(task.address.includes(':') ? 6 : 4, (task.mptcp ?? true) ? IPPROTO_MPTCP : IPPROTO_TCP)
  addon.setsockopt(fd, SOL_TCP, TCP_FASTOPEN_NO_COOKIE, int(1))
  const result: Awaited<ReturnType<typeof say>> = { taken: 0, bytes: '', errno: 0, timedOut: false, mptcp: false }
  const start = performance.now()
  const since = () => Math.round(performance.now() - start)
  await new Promise<void>(resolve => {
    setTimeout(() => {
      result.timedOut = result.answeredAt === undefined && result.errno === 0
      resolve()
    }, task.wait).unref()
    if (task.syn) result.taken = addon.sendFastOpen(fd, task.address, task.port, Buffer.from(task.syn, 'hex'))
    else addon.connect(fd, task.address, task.port)
    reactor().awaitConnected(fd, errno => {
      result.connectedAt = since()
      result.errno = errno
      if (errno !== 0) return resolve()
      if (task.more) addon.send(fd, Buffer.from(task.more, 'hex'))
      reactor().awaitBytes(fd, task.expect, (errno, bytes) => {
        Object.assign(result, { answeredAt: since(), errno, bytes: bytes.toString('hex') })
        resolve()
      })
    })
  })
  try {
    const { synDataAcked } = decodeTcpInfo(addon.getsockopt(fd, SOL_TCP, TCP_INFO, INFO_MAX))
    if (synDataAcked !== undefined) result.synDataAcked = synDataAcked
    addon.getsockopt(fd, SOL_MPTCP, MPTCP_INFO, INFO_MAX)
    result.mptcp = true
  } catch {
    // EOPNOTSUPP: it speaks TCP.
  }
  addon.reset(fd)
  return result
}
