import { closeSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { native } from '../../lib/runtime/kernel/native.js'
import { blockFor } from '../support/block-for.js'
import { Completions, leavesNothing, pause, refusingPort, serve, TCP } from '../support/native-addon.js'

const EPOLLIN = 1

const addon = native()
const completions = new Completions(addon)
const { reactor } = completions
leavesNothing(addon)

/** Each of the three waits on a descriptor of its own, none of them with anything to report so far. */
async function waits() {
  const server = await serve(addon, { protocol: TCP }, socket => socket.on('data', data => socket.end(data)))
  const connected = async () => {
    const fd = addon.socket(4, TCP)
    addon.connect(fd, server.address, server.port)
    expect(await completions.next(reactor.awaitConnected(fd))).toMatchObject({ status: 0 })
    return fd
  }
  const reading = await connected()
  const watching = await connected()
  const connecting = addon.socket(4, TCP)
  const full = await fullPort()
  addon.connect(connecting, '127.0.0.1', full.port)
  let happened = false
  return {
    descriptors: [connecting, reading, watching],
    start: () => [
      reactor.awaitConnected(connecting),
      reactor.awaitBytes(reading, 3),
      reactor.watchEdges(watching, EPOLLIN),
    ],
    /** Now they all have something to report. */
    happen() {
      if (happened) return
      happened = true
      full.close()
      for (const fd of [reading, watching]) addon.send(fd, Buffer.from('abc'))
    },
    async [Symbol.asyncDispose]() {
      full.close()
      await server[Symbol.asyncDispose]()
    },
  }
}

/** Does not answer; when it is closed, it resets. */
async function fullPort() {
  const listener = addon.socket(4, TCP)
  addon.bind(listener, '127.0.0.1', 0)
  addon.listen(listener, 0)
  const { port } = addon.getsockname(listener)
  const filling = addon.socket(4, TCP)
  addon.connect(filling, '127.0.0.1', port)
  await completions.next(reactor.awaitConnected(filling))
  let open = true
  return {
    port,
    close() {
      if (open) for (const fd of [listener, filling]) addon.close(fd)
      open = false
    },
  }
}

const ends: Record<string, (ids: number[], descriptors: number[]) => void> = {
  cancel: ids => ids.forEach(id => void reactor.cancel(id)),
  close: (_ids, descriptors) => descriptors.forEach(fd => void addon.close(fd)),
  reset: (_ids, descriptors) => descriptors.forEach(fd => void addon.reset(fd)),
  release: (_ids, descriptors) => descriptors.forEach(fd => void addon.release(fd)),
}

for (const [name, end] of Object.entries(ends))
  describe(`${name}: nothing is delivered after it`, () => {
    for (const [stage, until] of [
      ['at once', () => {}],
      ['while nothing happens', () => pause(20)],
      ['while things happen', (happen: () => void) => happen()],
      [
        'when completions are queued',
        (happen: () => void) => {
          happen()
          blockFor(30)
        },
      ],
    ] as const)
      test(stage, async () => {
        await using started = await waits()
        const ids = started.start()
        await until(started.happen)
        const before = addon.counts().waits
        end(ids, started.descriptors)
        expect(addon.counts().waits).toBe(before - ids.length)
        if (name === 'cancel') {
          started.happen()
          await pause(30)
          for (const fd of started.descriptors) addon.close(fd)
        }
        if (name === 'release') for (const fd of started.descriptors) closeSync(fd)
        await pause(20)
        expect(ids.flatMap(id => completions.of(id))).toEqual([])
      })
  })

test('bytes that a cancelled wait has not read stay in the socket; those that it read are lost', async () => {
  await using server = await serve(addon, { protocol: TCP }, socket => socket.on('data', data => socket.write(data)))
  const fd = addon.socket(4, TCP)
  addon.connect(fd, server.address, server.port)
  await completions.next(reactor.awaitConnected(fd))
  reactor.cancel(reactor.awaitBytes(fd, 3))
  addon.send(fd, Buffer.from('abc'))
  await pause(20)
  expect((await completions.next(reactor.awaitBytes(fd, 3))).bytes).toEqual(Buffer.from('abc'))
  addon.close(fd)
})

test('of what is unknown, finished or cancelled before: nothing', async () => {
  const fd = addon.socket(4, TCP)
  addon.connect(fd, '127.0.0.1', await refusingPort())
  const id = reactor.awaitConnected(fd)
  await completions.next(id)
  for (const none of [id, id, 0, 1, id + 1, Number.MAX_SAFE_INTEGER]) reactor.cancel(none)
  addon.close(fd)
})

test('after a cancel the descriptor can wait again', async () => {
  await using server = await serve(addon, { protocol: TCP })
  const fd = addon.socket(4, TCP)
  addon.connect(fd, server.address, server.port)
  let id = 0
  for (let round = 0; round < 1000; round++) {
    id = round % 2 ? reactor.awaitConnected(fd) : reactor.watchEdges(fd, EPOLLIN)
    if (round < 999) reactor.cancel(id)
  }
  expect(await completions.next(id)).toMatchObject({ status: 0 })
  expect(completions.all.filter(completion => completion.id > id - 999 && completion.id < id)).toEqual([])
  addon.close(fd)
})

test('a storm of waits, cancels and closes while connections come and go', async () => {
  await using server = await serve(addon, { protocol: TCP }, socket => socket.resetAndDestroy())
  const cancelled = new Set<number>()
  let random = 1
  const next = (below: number) => {
    random = (random * 48271) % 2147483647
    return random % below
  }
  for (let round = 0; round < 200; round++) {
    const open: [fd: number, id: number][] = []
    for (let i = 0; i < 10; i++) {
      const fd = addon.socket(4, TCP)
      addon.connect(fd, server.address, server.port)
      open.push([fd, reactor.awaitConnected(fd)])
    }
    if (next(2)) await pause(0)
    if (next(2)) blockFor(1)
    for (const [fd, id] of open) {
      if (completions.of(id).length === 0) cancelled.add(id)
      if (next(2)) reactor.cancel(id)
      addon.close(fd)
    }
  }
  await pause(50)
  expect(cancelled.size).toBeGreaterThan(100)
  expect(completions.all.filter(({ id }) => cancelled.has(id))).toEqual([])
})
