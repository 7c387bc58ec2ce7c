import { AsyncLocalStorage } from 'node:async_hooks'
import { describe, expect, test, vi } from 'vitest'
import type { Addon, Completion } from '../../../lib/runtime/kernel/native.js'
import { Reactor } from '../../../lib/runtime/kernel/reactor.js'

/** Waits whose completions come from the test. */
class FakeReactor {
  #deliver: (completion: Completion) => void
  /** What was asked, in words. */
  calls: string[] = []
  #ids = 0

  constructor(deliver: (completion: Completion) => void) {
    this.#deliver = deliver
  }
  /** One after the other, as the addon does it. */
  deliver(completions: Completion[]): void {
    for (const completion of completions) this.#deliver(completion)
  }
  keepAlive(on: boolean): void {
    this.calls.push(`keepAlive ${on}`)
  }
  awaitConnected(fd: number): number {
    return this.#wait(`awaitConnected ${fd}`)
  }
  awaitBytes(fd: number, length: number): number {
    return this.#wait(`awaitBytes ${fd} ${length}`)
  }
  watchEdges(fd: number, events: number): number {
    return this.#wait(`watchEdges ${fd} ${events}`)
  }
  cancel(id: number): void {
    this.calls.push(`cancel ${id}`)
  }
  #wait(call: string): number {
    this.calls.push(call)
    return ++this.#ids
  }
}

function setUp(): { addon: FakeReactor; reactor: Reactor } {
  let addon: FakeReactor | undefined
  const fake = {
    Reactor: class extends FakeReactor {
      constructor(deliver: (completion: Completion) => void) {
        super(deliver)
        addon = this
      }
    },
  }
  const reactor = new Reactor(fake as unknown as Addon)
  return { addon: addon!, reactor }
}

describe('results reach the callback of their wait', () => {
  test('connected, or the errno', () => {
    const { addon, reactor } = setUp()
    const results: number[] = []
    reactor.awaitConnected(10, errno => results.push(errno))
    reactor.awaitConnected(11, errno => results.push(errno))
    addon.deliver([
      { id: 2, status: 111 },
      { id: 1, status: 0 },
    ])
    expect(results).toEqual([111, 0])
  })

  test('bytes, also none', () => {
    const { addon, reactor } = setUp()
    const results: unknown[] = []
    reactor.awaitBytes(10, 4, (errno, bytes) => results.push([errno, bytes.toString()]))
    reactor.awaitBytes(11, 4, (errno, bytes) => results.push([errno, bytes.toString()]))
    addon.deliver([
      { id: 1, status: 0, bytes: Buffer.from('abcd') },
      { id: 2, status: 104 },
    ])
    expect(results).toEqual([
      [0, 'abcd'],
      [104, ''],
    ])
  })

  test('once, except edges', () => {
    const { addon, reactor } = setUp()
    const once = vi.fn()
    const edge = vi.fn()
    reactor.awaitConnected(10, once)
    reactor.watchEdges(11, 4, edge)
    for (let i = 0; i < 3; i++)
      addon.deliver([
        { id: 1, status: 0 },
        { id: 2, status: 4 },
      ])
    expect(once).toHaveBeenCalledTimes(1)
    expect(edge).toHaveBeenCalledTimes(3)
  })

  test('a result without a wait is ignored', () => {
    const { addon } = setUp()
    addon.deliver([{ id: 99, status: 0 }])
  })
})

describe('cancel', () => {
  test('nothing is delivered any more, not even what has already happened', () => {
    const { addon, reactor } = setUp()
    const cancelled = vi.fn()
    let wait = { cancel() {} }
    reactor.awaitConnected(10, () => wait.cancel())
    wait = reactor.awaitConnected(11, cancelled)
    addon.deliver([
      { id: 1, status: 0 },
      { id: 2, status: 0 },
    ])
    expect(cancelled).not.toHaveBeenCalled()
    expect(addon.calls).toContain('cancel 2')
  })

  test('twice, or after the result, is harmless', () => {
    const { addon, reactor } = setUp()
    const wait = reactor.awaitConnected(10, () => {})
    addon.deliver([{ id: 1, status: 0 }])
    wait.cancel()
    const other = reactor.awaitConnected(11, () => {})
    other.cancel()
    other.cancel()
    expect(addon.calls.filter(call => call.startsWith('cancel'))).toEqual(['cancel 2'])
  })
})

describe('the event loop is kept alive', () => {
  const liveliness = ({ calls }: FakeReactor) => calls.filter(call => call.startsWith('keepAlive'))

  test('by waits, until the last one is over', () => {
    const { addon, reactor } = setUp()
    reactor.awaitConnected(10, () => {})
    const edges = reactor.watchEdges(11, 1, () => {})
    reactor.awaitBytes(12, 1, () => {})
    addon.deliver([
      { id: 1, status: 0 },
      { id: 3, status: 0 },
      { id: 2, status: 1 },
    ])
    expect(liveliness(addon)).toEqual(['keepAlive true'])
    edges.cancel()
    expect(liveliness(addon)).toEqual(['keepAlive true', 'keepAlive false'])
  })

  test('not by waits that asked not to', () => {
    const { addon, reactor } = setUp()
    reactor.awaitBytes(10, 1, () => {}, { ref: false }).cancel()
    reactor.watchEdges(11, 1, () => {}, { ref: false })
    expect(liveliness(addon)).toEqual([])
  })

  test('by hold(), until it has been let go as often', () => {
    const { addon, reactor } = setUp()
    reactor.hold()
    reactor.hold()
    reactor.letGo()
    expect(liveliness(addon)).toEqual(['keepAlive true'])
    reactor.letGo()
    reactor.hold()
    expect(liveliness(addon)).toEqual(['keepAlive true', 'keepAlive false', 'keepAlive true'])
  })
})

test('a callback runs in the async context in which its wait began', () => {
  const { addon, reactor } = setUp()
  const storage = new AsyncLocalStorage<string>()
  const seen: unknown[] = []
  storage.run('first', () => reactor.awaitConnected(10, () => seen.push(storage.getStore())))
  storage.run('second', () => reactor.watchEdges(11, 1, () => seen.push(storage.getStore())))
  storage.run('other', () =>
    addon.deliver([
      { id: 2, status: 1 },
      { id: 1, status: 0 },
      { id: 2, status: 1 },
    ]),
  )
  expect(seen).toEqual(['second', 'first', 'second'])
})
