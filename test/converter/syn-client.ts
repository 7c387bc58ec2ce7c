/**
 * A client that says exactly what it is told to, for tests in network namespaces:
 *
 *   tsx syn-client.ts '{"address":"192.0.2.1","port":5124,"syn":"01…","more":"68…","expect":8,"wait":1000,"mptcp":true}'
 *
 * `syn` goes out with the SYN, `more` after the handshake (hexadecimal). Prints what came back as one JSON line: `bytes` (at most
 * `expect`, within `wait` milliseconds), and when, in milliseconds since the SYN.
 */
import {
  IPPROTO_MPTCP,
  IPPROTO_TCP,
  int,
  MPTCP_INFO,
  SOL_MPTCP,
  SOL_TCP,
  TCP_FASTOPEN_NO_COOKIE,
  TCP_INFO,
} from '../../lib/runtime/linux.js'
import { native } from '../../lib/runtime/native.js'
import { reactor } from '../../lib/runtime/reactor.js'
import { decodeTcpInfo } from '../../lib/wire/tcp-info.js'

export interface SynClientTask {
  address: string
  port: number
  syn: string
  more?: string
  /** Bytes to wait for. */
  expect: number
  /** Milliseconds. */
  wait: number
  mptcp?: boolean
}

export interface SynClientResult {
  /** How many bytes the kernel took with the SYN. */
  taken: number
  connectedAt?: number
  answeredAt?: number
  bytes: string
  /** Name or number of what went wrong. */
  errno: number
  timedOut: boolean
  synDataAcked?: boolean
  mptcp: boolean
}

const task = JSON.parse(process.argv[2]!) as SynClientTask
const addon = native()
const fd = addon.socket(task.address.includes(':') ? 6 : 4, (task.mptcp ?? true) ? IPPROTO_MPTCP : IPPROTO_TCP)
addon.setsockopt(fd, SOL_TCP, TCP_FASTOPEN_NO_COOKIE, int(1))
const start = performance.now()
const since = () => Math.round(performance.now() - start)
const result: SynClientResult = { taken: 0, bytes: '', errno: 0, timedOut: false, mptcp: false }

const end = (): void => {
  try {
    result.synDataAcked = decodeTcpInfo(addon.getsockopt(fd, SOL_TCP, TCP_INFO, 512)).synDataAcked!
    addon.getsockopt(fd, SOL_MPTCP, MPTCP_INFO, 512)
    result.mptcp = true
  } catch {}
  addon.reset(fd)
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0))
}
const timer = setTimeout(() => {
  result.timedOut = true
  end()
}, task.wait)

result.taken = addon.sendFastOpen(fd, task.address, task.port, Buffer.from(task.syn, 'hex'))
reactor().awaitConnected(fd, errno => {
  result.connectedAt = since()
  result.errno = errno
  if (errno !== 0) return end()
  if (task.more) addon.send(fd, Buffer.from(task.more, 'hex'))
  reactor().awaitBytes(fd, task.expect, (errno, bytes) => {
    clearTimeout(timer)
    result.answeredAt = since()
    result.errno = errno
    result.bytes = bytes.toString('hex')
    end()
  })
})
