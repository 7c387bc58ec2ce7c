/** A kernel for tests of netlink clients: a function from a request to the datagrams that answer it. */
import type { NetlinkGroups, NetlinkReceiver, OpenNetlink } from '../../lib/runtime/network/netlink.js'
import { decodeMessages, encodeMessage, type NetlinkMessage } from '../../lib/wire/netlink/message.js'

export interface FakeKernel {
  open: OpenNetlink
  /** Its answers end in the middle of a header. */
  cutOff: boolean
  /** What was asked, in its order. */
  requests: NetlinkMessage[]
  /** Those who have joined groups, and those who ask: to tell them something. */
  connections: { protocol: number; receiver: NetlinkReceiver; groups: NetlinkGroups | undefined; open: boolean }[]
}

/** @param answer called for each request; what it returns is received before `send` returns, as from the real one */
export function fakeKernel(answer: (request: NetlinkMessage) => Uint8Array[]): FakeKernel {
  const kernel: FakeKernel = {
    cutOff: false,
    requests: [],
    connections: [],
    open(protocol, receiver, groups) {
      const connection = { protocol, receiver, groups, open: true }
      kernel.connections.push(connection)
      return {
        send(bytes) {
          for (const request of decodeMessages(bytes)) {
            kernel.requests.push(request)
            for (const datagram of answer(request)) receiver.message(kernel.cutOff ? datagram.subarray(0, 5) : datagram)
          }
        },
        close() {
          connection.open = false
        },
      }
    },
  }
  return kernel
}

export function part(request: NetlinkMessage, payload: Uint8Array, type = request.type, flags = 0): Uint8Array {
  return encodeMessage({ type, flags, sequence: request.sequence }, payload)
}

/** NLMSG_ERROR, with NETLINK_CAP_ACK. @param words of the extended acknowledgement */
export function acknowledge(request: NetlinkMessage, errno = 0, words?: string): Uint8Array {
  const repeated = encodeMessage(request, new Uint8Array(0))
  const tlv = words === undefined ? [] : [Uint16Array.of(4 + words.length + 1, 1), Buffer.from(`${words}\0\0\0\0`)]
  const payload = Buffer.concat([Int32Array.of(-errno), repeated, ...tlv].map(bytesOf))
  return part(request, payload, 2, words === undefined ? 0x100 : 0x300)
}

/** NLMSG_DONE. */
export function done(request: NetlinkMessage, errno = 0, flags = 0x2): Uint8Array {
  return part(request, bytesOf(Int32Array.of(-errno)), 3, flags)
}

function bytesOf(array: Int32Array | Uint16Array | Uint8Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}
