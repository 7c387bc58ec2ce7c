/** A DNS server for SRV records only, on loopback; the resolver of this process asks it until it is closed. RFC 1035, RFC 2782. */
import dgram from 'node:dgram'
import dns from 'node:dns'
import { once } from 'node:events'

export interface SrvRecord {
  priority: number
  weight: number
  port: number
  /** Without its last dot; empty for ".", "no such service". */
  target: string
}

export interface DnsServer extends AsyncDisposable {
  /** The names that were asked for. */
  asked: string[]
}

/** @param records by name; other names do not exist */
export async function dnsServer(records: Record<string, SrvRecord[]>): Promise<DnsServer> {
  const socket = dgram.createSocket('udp4')
  const asked: string[] = []
  socket.on('message', (query, { address, port }) => {
    const { name, end } = question(query)
    asked.push(name)
    socket.send(answer(query.subarray(0, end), records[name.toLowerCase()]), port, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const before = dns.getServers()
  dns.setServers([`127.0.0.1:${socket.address().port}`])
  return {
    asked,
    async [Symbol.asyncDispose]() {
      dns.setServers(before)
      await new Promise<void>(resolve => socket.close(() => resolve()))
    },
  }
}

const HEADER = 12
const SRV = 33
const IN = 1
const NXDOMAIN = 3

function question(query: Buffer): { name: string; end: number } {
  const labels: string[] = []
  let at = HEADER
  for (let length = query[at]!; length > 0; length = query[at]!) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.'), end: at + 1 + 4 } // type and class follow the name
}

function answer(question: Buffer, records: SrvRecord[] | undefined): Buffer {
  const header = Buffer.alloc(HEADER)
  header.set(question.subarray(0, 2)) // the id
  header.writeUInt16BE(0x8180 | (records ? 0 : NXDOMAIN), 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(records?.length ?? 0, 6)
  const answers = (records ?? []).map(({ priority, weight, port, target }) => {
    const name = Buffer.concat([
      ...target
        .split('.')
        .filter(Boolean)
        .map(label => Buffer.from([label.length, ...Buffer.from(label)])),
      Buffer.of(0),
    ])
    const fixed = Buffer.alloc(18)
    fixed.writeUInt16BE(0xc000 | HEADER, 0) // the name asked for
    fixed.writeUInt16BE(SRV, 2)
    fixed.writeUInt16BE(IN, 4)
    fixed.writeUInt16BE(6 + name.length, 10)
    fixed.writeUInt16BE(priority, 12)
    fixed.writeUInt16BE(weight, 14)
    fixed.writeUInt16BE(port, 16)
    return Buffer.concat([fixed, name])
  })
  return Buffer.concat([header, question.subarray(HEADER), ...answers])
}
