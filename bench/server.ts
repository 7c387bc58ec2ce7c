/** The servers of all roles, over TCP and over MPTCP, and of HTTPS, in one process: `server.ts ADDRESS`. Prints its ports as JSON. */
import { once } from 'node:events'
import { createServer as createHttps } from 'node:https'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { cert, key } from '../test/support/certificate.js'
import { ONE_BYTE, PatternCheck, patternChunk, ROLES, type Role } from './places.js'
import { IPPROTO_MPTCP, native } from './shipped.js'

const BACKLOG = 4096
const [address = '127.0.0.1'] = process.argv.slice(2)
const one = Buffer.of(ONE_BYTE)
const chunk = patternChunk()

const serve: Record<Role, (socket: Socket) => void> = {
  goodbye: socket => void socket.resume().end(one),
  hello: socket => void socket.resume().write(one),
  echo: socket => void socket.on('data', data => socket.write(data)),
  source: socket => afterAmount(socket, amount => void sendPattern(socket, amount)),
  sink: socket =>
    afterAmount(socket, (amount, rest) => {
      const check = new PatternCheck()
      const take = (data: Buffer) => {
        if (data.length > 0) check.take(data)
        if (check.received === amount) socket.end(one)
      }
      take(rest)
      socket.on('data', take)
    }),
}

const ports = { tcp: {}, mptcp: {} } as Record<'tcp' | 'mptcp', Record<string, number>>
for (const role of ROLES) {
  const server = () => createServer(socket => serve[role](socket.on('error', () => {})))
  ports.tcp[role] = await listening(server().listen({ host: address, port: 0, backlog: BACKLOG }))
  ports.mptcp[role] = await listening(server().listen({ fd: mptcpListener(), backlog: BACKLOG }))
}
const web = createHttps({ cert, key }, (request, response) => response.end(request.socket.remoteAddress))
const https = await listening(web.listen({ host: address, port: 0, backlog: BACKLOG }))
console.log(JSON.stringify({ ports, https }))

async function listening(server: Server): Promise<number> {
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

function mptcpListener(): number {
  const fd = native().socket(address.includes(':') ? 6 : 4, IPPROTO_MPTCP)
  native().bind(fd, address, 0)
  native().release(fd) // it is Node's from here on
  return fd
}

/** The line at the start, and what came right behind it. */
function afterAmount(socket: Socket, act: (amount: number, rest: Buffer) => void): void {
  let head = Buffer.alloc(0)
  const take = (data: Buffer) => {
    head = Buffer.concat([head, data])
    const end = head.indexOf('\n')
    if (end < 0) return
    socket.off('data', take)
    act(Number(head.subarray(0, end)), head.subarray(end + 1))
  }
  socket.on('data', take)
}

async function sendPattern(socket: Socket, amount: number): Promise<void> {
  for (let sent = 0; sent < amount && !socket.destroyed; sent += chunk.length)
    if (!socket.write(chunk.subarray(0, Math.min(chunk.length, amount - sent))))
      await once(socket, 'drain').catch(() => {})
  socket.end()
}
