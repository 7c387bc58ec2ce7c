/** A converter that takes PCP requests on loopback, and a client made by hand: what it hears and says is bytes. */
import { createHash } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import {
  type Converter,
  type ConverterOptions,
  createConverter,
  type IncomingInfo,
} from '../../../lib/converter/index.js'
import type { PcpOptions } from '../../../lib/converter/options/pcp.js'
import { decodePcpResponse, encodePcpRequest, type PcpOption, type PcpResponse } from '../../../lib/wire/pcp/index.js'
import { closing, until } from '../rig.js'

export const NONCE = new Uint8Array(12).fill(7)

export interface IncomingRig {
  converter: Converter
  pcpPort: number
  /** Of the converter, in order. */
  heard: { established: IncomingInfo[]; closed: IncomingInfo[]; mappings: string[]; degraded: string[] }
}

let nextPort = 21_000 + (process.pid % 200) * 20

/** Some ports of the machine's that nobody has. */
export function somePorts(count = 4): string {
  nextPort += count
  return `${nextPort - count}-${nextPort - 1}`
}

export async function incomingRig(pcp: PcpOptions = {}, options: ConverterOptions = {}): Promise<IncomingRig> {
  const converter = createConverter({
    listen: '127.0.0.1:0',
    allowLoopback: true,
    pcp: { listen: ['127.0.0.1:0'], ports: [somePorts()], announce: false, ...pcp },
    ...options,
  })
  closing(() => converter.close())
  const heard: IncomingRig['heard'] = { established: [], closed: [], mappings: [], degraded: [] }
  let pcpPort = 0
  converter.on('listening', (_, [place]) => {
    pcpPort = place!.port
  })
  converter.on('incoming', info => heard.established.push(info))
  converter.on('incoming-closed', info => heard.closed.push(info))
  converter.on('mapping', ({ external }, change) => heard.mappings.push(`${change} ${external.port}`))
  converter.on('degraded', ({ what }) => heard.degraded.push(what))
  await converter.listen()
  return { converter, pcpPort, heard }
}

/** A PCP client that says one thing at a time. */
export async function pcpClient(pcpPort: number, address = '127.0.0.1') {
  const socket = createSocket('udp4')
  closing(() => socket.close())
  await new Promise<void>(resolve => socket.bind(0, address, resolve))
  const heard: PcpResponse[] = []
  socket.on('message', bytes => heard.push(decodePcpResponse(bytes)))
  return {
    heard,
    async map(
      internalPort: number,
      { lifetime = 600, externalPort = 0, options = [] as PcpOption[], at = pcpPort } = {},
    ) {
      const before = heard.length
      const operation = { type: 'map' as const, nonce: NONCE, protocol: 6, internalPort, externalPort }
      const request = { lifetime, clientAddress: address, options }
      socket.send(
        encodePcpRequest({ ...request, operation: { ...operation, externalAddress: '0.0.0.0' } }),
        at,
        '127.0.0.1',
      )
      await until(() => heard.length > before)
      const response = heard[before]!
      const assigned = response.operation.type === 'map' ? response.operation.externalPort : 0
      return { ...response, port: assigned }
    },
  }
}

/** The client's listener. `answer` is what it says once it has read 24 bytes: a header and a base Connect. */
export async function clientListener(answer: Uint8Array | undefined, then: (socket: Socket) => void = () => {}) {
  const messages: Buffer[] = []
  const server = createServer({ allowHalfOpen: true }, socket => {
    socket.on('error', () => {})
    const read = () => {
      const message = socket.read(24)
      if (!message) return
      socket.off('readable', read)
      messages.push(message)
      if (answer) socket.write(answer)
      then(socket)
    }
    socket.on('readable', read)
  })
  closing(() => server.close())
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return { messages, port: (server.address() as AddressInfo).port }
}

/** A remote host's connection. @param from an address of loopback */
export function remote(port: number, from = '127.0.0.1') {
  const socket = connect({ port, host: '127.0.0.1', localAddress: from, allowHalfOpen: true })
  closing(() => socket.destroy())
  const received: Buffer[] = []
  let error: NodeJS.ErrnoException | undefined
  socket
    .on('data', bytes => received.push(bytes))
    .on('error', failed => {
      error = failed
    })
  return {
    socket,
    text: () => Buffer.concat(received).toString(),
    hash: () => createHash('sha256').update(Buffer.concat(received)).digest('hex'),
    get error() {
      return error
    },
    ended: () => once(socket, 'end'),
    closed: () => (socket.closed ? Promise.resolve() : once(socket, 'close').catch(() => {})),
    /** Whether the kernel says anything at all within a time. */
    async isIgnored(milliseconds = 400): Promise<boolean> {
      await setTimeout(milliseconds)
      return socket.connecting && error === undefined
    },
  }
}
