/**
 * The server: `peer.ts ADDRESS PORT [mptcp]`, over TCP unless it says otherwise. The first line of a connection says what goes each way (`Opening`). What comes is counted,
 * timed and hashed; what was asked for is sent until the client ends its side; the receipt of both is the end.
 */
import { createServer, type Socket } from 'node:net'
import { IPPROTO_MPTCP, native } from '../shipped.js'
import { encodeReceipt, Giving, Taking } from './ends.js'
import type { Opening } from './tasks.js'

const BACKLOG = 4096
const [address, port, protocol] = process.argv.slice(2)

const server = createServer({ allowHalfOpen: true, noDelay: true }, socket => {
  socket.on('error', () => {})
  socket.once('data', (data: Buffer) => {
    const end = data.indexOf('\n')
    void serve(socket, JSON.parse(data.subarray(0, end).toString()) as Opening, data.subarray(end + 1))
  })
})
const at = protocol === 'mptcp' ? { fd: mptcpListener() } : { host: address, port: Number(port) }
server.listen({ ...at, backlog: BACKLOG }, () => console.log('ready'))

function mptcpListener(): number {
  const fd = native().socket(4, IPPROTO_MPTCP)
  native().bind(fd, address!, Number(port))
  native().release(fd) // it is Node's from here on
  return fd
}

async function serve(socket: Socket, { up, down }: Opening, first: Buffer): Promise<void> {
  const taking = new Taking(up)
  const giving = new Giving(socket)
  const stop = new AbortController()
  const ended = new Promise<void>(resolve => {
    const over = () => {
      stop.abort()
      resolve()
    }
    socket.once('end', over).once('close', over)
  })
  let answered = 0
  const take = (data: Buffer) => {
    taking.note(data.length)
    taking.count(data)
    if (down?.kind !== 'answers') return
    for (; answered < Math.floor(taking.arrived / down.request); answered++)
      setTimeout(() => giving.answer(down), down.thinkMs)
  }
  take(first)
  socket.on('data', take)
  if (down) await giving.give(down, stop.signal).catch(() => {})
  if (up || down?.kind === 'answers') await ended
  if (!socket.destroyed) socket.end(encodeReceipt({ taken: taking.report, given: giving.report }))
}
