/**
 * The server: `peer.ts ADDRESS PORT`. The first line of a connection says what goes each way (`Opening`). What comes is counted,
 * timed and hashed; what was asked for is sent until the client ends its side; the receipt of both is the end.
 */
import { createServer, type Socket } from 'node:net'
import { encodeReceipt, Giving, Taking } from './ends.js'
import type { Opening } from './tasks.js'

const BACKLOG = 4096
const [address, port] = process.argv.slice(2)

const server = createServer({ allowHalfOpen: true, noDelay: true }, socket => {
  socket.on('error', () => {})
  socket.once('data', (data: Buffer) => {
    const end = data.indexOf('\n')
    void serve(socket, JSON.parse(data.subarray(0, end).toString()) as Opening, data.subarray(end + 1))
  })
})
server.listen({ host: address, port: Number(port), backlog: BACKLOG }, () => console.log('ready'))

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
