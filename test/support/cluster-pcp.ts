/**
 * Started by test/runtime/incoming/pcp-transport.test.ts: a primary with two workers. Each worker opens the UDP sockets of a PCP client,
 * sends a datagram and gets an answer. The primary sends their accounts, and which UDP ports it has open itself.
 */
import cluster from 'node:cluster'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { listenForAnnouncements, openTransport } from '../../lib/runtime/incoming/pcp-transport.js'
import { SO_BINDTODEVICE, SOL_SOCKET } from '../../lib/runtime/kernel/constants.js'
import { native } from '../../lib/runtime/kernel/native.js'

export interface Account {
  /** The port that the socket was bound to, and the one from which the server got the datagram. */
  bound: number
  from: number
  device: string
  answer: string
  /** The worker's UDP ports: while its sockets are open, and after they have been closed. */
  open: number[]
  closed: number[]
  failures: string[]
}

export interface Accounts {
  workers: Account[]
  /** The primary's UDP ports while the workers' sockets are open. */
  primary: number[]
}

await (cluster.isPrimary ? primary() : worker())

async function primary(): Promise<void> {
  const children = [cluster.fork(), cluster.fork()]
  const next = (what?: string) =>
    Promise.all(
      children.map(async child => {
        const message = once(child, 'message')
        if (what !== undefined) child.send(what)
        return (await message)[0]
      }),
    )
  await next()
  const own = udpPorts()
  const workers = (await next('close')) as Account[]
  process.send?.({ workers, primary: own } satisfies Accounts)
  for (const child of children) child.disconnect()
}

async function worker(): Promise<void> {
  const server = createSocket('udp4')
  server.bind({ port: 0, address: '127.0.0.1', exclusive: true })
  await once(server, 'listening')
  const others = udpPorts()
  const added = () => udpPorts().filter(port => !others.includes(port))

  let answered = (_: string) => {}
  const answer = new Promise<string>(resolve => {
    answered = resolve
  })
  const transport = openTransport(
    { address: '127.0.0.1', port: server.address().port },
    { address: '127.0.0.1', interface: 'lo' },
    bytes => answered(Buffer.from(bytes).toString()),
  )
  const { fd, port: bound } = udpSockets().find(({ port }) => !others.includes(port))!
  const device = native().getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, 16).toString('latin1').replace(/\0.*/s, '')
  const failures: string[] = []
  const announcements = listenForAnnouncements(
    [{ name: 'lo', address: '127.0.0.1' }],
    () => {},
    ({ message }) => failures.push(message),
  )

  const request = once(server, 'message')
  transport.send(Buffer.from('request'))
  const [, { port: from }] = await request
  server.send('answer', from, '127.0.0.1')
  const account = { bound, from, device, answer: await answer, open: added(), failures }

  const told = once(process, 'message')
  process.send?.('open')
  await told
  transport.close()
  announcements.close()
  // Their handles are closed at the end of the turn.
  await new Promise(resolve => setImmediate(resolve))
  process.send?.({ ...account, closed: added() } satisfies Account)
  await once(process, 'disconnect')
  server.close()
}

function udpPorts(): number[] {
  return udpSockets().map(({ port }) => port)
}

/** This process's UDP sockets, and their local ports. */
function udpSockets(): { fd: number; port: number }[] {
  const ports = new Map<string, number>()
  for (const table of ['udp', 'udp6'])
    for (const line of readFileSync(`/proc/self/net/${table}`, 'latin1').trim().split('\n').slice(1)) {
      const [, local = '', , , , , , , , inode = ''] = line.trim().split(/\s+/)
      ports.set(inode, Number.parseInt(local.split(':')[1]!, 16))
    }
  return readdirSync('/proc/self/fd').flatMap(fd => {
    try {
      const port = ports.get(/^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1] ?? '')
      return port === undefined ? [] : [{ fd: Number(fd), port }]
    } catch {
      return [] // the one that readdir had open
    }
  })
}
