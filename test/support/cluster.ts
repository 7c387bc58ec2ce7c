/**
 * Started by test/socket/cluster.test.ts: a primary with two workers. Each worker listens with ours, in the way that it is told,
 * and connects with ours to what it hears on; the primary sends what they say.
 */
import cluster from 'node:cluster'
import { once } from 'node:events'
import type { AddressInfo, Server, Socket } from 'node:net'
import type { AtsssError } from '../../lib/errors.js'
import { connect } from '../../lib/socket/connect.js'
import { type AcceptedSocket, createServer } from '../../lib/socket/server.js'

/** One worker's account. */
export interface Heard {
  port: number
  server: object
  /** What the accepted connection spoke, and what the connecting side. */
  accepted?: object
  connected?: object
  echoed?: string
  error?: { code: string; message: string }
}

const [way = 'port', mptcp = 'prefer'] = process.argv.slice(2)

if (cluster.isPrimary) await primary()
else await worker(mptcp as 'prefer' | 'require')

async function primary(): Promise<void> {
  if (way === 'shared') cluster.schedulingPolicy = cluster.SCHED_NONE
  const own = way === 'sent' || way === 'reusePort' ? createServer(echo).listen(listenOptions(0)) : undefined
  if (own) await once(own, 'listening')
  const port = own ? (own.address() as AddressInfo).port : 0
  const accounts = await Promise.all(
    [1, 2].map(async () => {
      const child = cluster.fork()
      await once(child, 'message') // it hears now
      child.send({ port }, way === 'sent' ? own : undefined)
      const [account] = await once(child, 'message')
      return { child, account: account as Heard }
    }),
  )
  own?.close()
  const ended = accounts.map(({ child }) => once(child, 'exit'))
  for (const { child } of accounts) child.send('enough')
  await Promise.all(ended)
  process.send?.(accounts.map(({ account }) => account))
}

async function worker(mptcp: 'prefer' | 'require'): Promise<void> {
  const told = once(process, 'message')
  process.send?.('ready')
  const [{ port }, sent] = (await told) as [{ port: number }, Server | undefined]
  const server = createServer({ mptcp })
  const accepted = new Promise<AcceptedSocket>(resolve => server.once('connection', resolve))
  try {
    const listening = once(server, 'listening')
    if (sent) server.listen(sent)
    else server.listen(listenOptions(port))
    await listening
  } catch (error) {
    const { code, message } = error as AtsssError
    process.send?.({ port: 0, server: server.mptcp, error: { code, message } } satisfies Heard)
    await once(process, 'message')
    return leave()
  }
  server.on('connection', echo)
  const where = (server.address() as AddressInfo).port
  const mine = accepted.then(socket => socket.mptcp)
  // The other worker may get it: one connection after the other until each has had its own.
  let last: Pick<Heard, 'connected' | 'echoed'> = {}
  let done = false
  void mine.then(() => {
    done = true
  })
  while (!done) last = await visit(where)
  process.send?.({ port: where, server: server.mptcp, accepted: await mine, ...last } satisfies Heard)
  await once(process, 'message')
  server.close()
  leave()
}

async function visit(port: number): Promise<Pick<Heard, 'connected' | 'echoed'>> {
  const socket = connect(port, '127.0.0.1')
  socket.write(`from ${process.pid}`)
  const [bytes] = await once(socket, 'data')
  const connected = socket.mptcp.protocol
  socket.end()
  await once(socket, 'close')
  return { connected: { protocol: connected }, echoed: String(bytes) === `from ${process.pid}` ? 'own' : String(bytes) }
}

function listenOptions(port: number): object {
  return { port, host: '127.0.0.1', ...((way === 'reusePort' || way === 'exclusive') && { [way]: true }) }
}

function echo(socket: Socket): void {
  socket.pipe(socket)
}

function leave(): void {
  cluster.worker?.disconnect()
}
