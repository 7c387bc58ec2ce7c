/** The thread of a session's steering loop ends: the session reports it, and the next thread takes over. As built: the thread is in dist/. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { MaPduSession } from 'atsss'
import { afterEach, expect, onTestFinished, vi } from 'vitest'
import type { Command, Report } from '../../lib/runtime/steering/messages.js'
import { echoServer } from '../support/echo-server.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'

/** Each thread of the session: what it was commanded and what it has reported. */
interface Thread {
  worker: Worker
  commands: Command[]
  reports: Report[]
}

const threads: Thread[] = []
function threadOf(worker: Worker): Thread {
  const known = threads.find(thread => thread.worker === worker)
  if (known) return known
  const thread: Thread = { worker, commands: [], reports: [] }
  threads.push(thread)
  worker.on('message', report => thread.reports.push(report))
  return thread
}

afterEach(() => {
  vi.restoreAllMocks()
  threads.length = 0
})

requires('MPTCP', mptcp)(
  'a thread that ends: degraded, and the next one gets the rules and the connections, and is commanded from then on',
  async () => {
    await using echo = await echoServer()
    const { postMessage } = Worker.prototype
    vi.spyOn(Worker.prototype, 'postMessage').mockImplementation(function (this: Worker, ...args) {
      threadOf(this).commands.push(args[0] as Command)
      postMessage.apply(this, args)
    })
    const session = new MaPduSession({ accesses: { '3gpp': 'nowhere0', 'non-3gpp': 'lo' }, rules: 'handover' })
    onTestFinished(() => session.close())
    const degraded: string[] = []
    session.on('degraded', ({ what, message }) => degraded.push(`${what}: ${message}`))
    const level = await session.ready
    const connect = async () => {
      const socket = session.connect({ host: '127.0.0.1', port: echo.port, mptcp: 'require' })
      await once(socket, 'connect')
      onTestFinished(() => void socket.destroy())
      return socket
    }
    const first = await connect()
    const [before] = threads as [Thread]
    const added = before.commands.find(({ command }) => command === 'add') as Extract<Command, { command: 'add' }>
    session.update('aggregate')
    const rules = before.commands.filter(({ command }) => command === 'rules').at(-1)

    await before.worker.terminate()
    await expect.poll(() => threads).toHaveLength(2)
    const after = threads[1]!
    expect(degraded.filter(message => message.startsWith('controller: The steering loop has ended'))).toHaveLength(1)
    expect(after.commands).toMatchObject([
      { command: 'rules', rules: (rules as { rules: unknown }).rules },
      { command: 'add', steered: { token: added.steered.token } },
    ])
    await expect.poll(() => after.reports.map(({ event }) => event)).toContain('ready')
    expect(await session.ready).toEqual(level)
    // It follows the connection that it has taken over.
    const { token } = added.steered
    await expect.poll(() => after.reports).toContainEqual(expect.objectContaining({ event: 'subflows', token }))

    const second = await connect()
    expect(after.commands.at(-1)).toMatchObject({ command: 'add' })
    expect(session.stats().connections.map(({ socket }) => socket)).toEqual([first, second])
    first.destroy()
    await once(first, 'close')
    expect(after.commands.at(-1)).toEqual({ command: 'remove', token })
  },
)
