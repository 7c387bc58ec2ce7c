/** Steering by the kernel's own path manager; the kernel is a list of endpoints. */
import { describe, expect, test, vi } from 'vitest'
import type { KernelPathManager, MptcpEndpoint } from '../../../lib/runtime/network/path-manager.js'
import {
  Endpoints,
  endpointsOfAll,
  type OwnEndpoints,
  type WantedEndpoint,
} from '../../../lib/runtime/steering/endpoints.js'
import { INDEX, LOCAL, World } from '../../support/controlled-world.js'

class Kernel {
  list: MptcpEndpoint[] = []
  subflows = 2
  readonly calls: string[] = []
  /** The code with which it refuses all changes. */
  refuses: string | undefined
  readonly #endpoints: Pick<KernelPathManager, keyof KernelPathManager> = {
    endpoints: async () => this.list.map(endpoint => ({ ...endpoint })),
    limits: async () => ({ subflows: this.subflows, addAddrAccepted: 0 }),
    addEndpoint: async ({ address, flags }) => {
      this.#change(`add ${address} ${flags}`)
      this.list.push({ id: this.list.length + 1, address, flags } as MptcpEndpoint)
    },
    deleteEndpoint: async id => {
      this.#change(`delete ${this.#of(id).address}`)
      this.list = this.list.filter(endpoint => endpoint.id !== id)
    },
    setEndpointFlags: async ({ id, flags }) => {
      this.#change(`${this.#of(id).address} ${flags}`)
      this.#of(id).flags = flags
    },
    setLimits: async ({ subflows }) => {
      this.#change(`limit ${subflows}`)
      this.subflows = subflows
    },
  }
  /** What was reported to be the session's own. */
  own: OwnEndpoints | undefined
  steering = this.begin()

  /** As a steering loop that takes over. */
  begin(own?: OwnEndpoints): Endpoints {
    this.steering = new Endpoints(this.#endpoints as KernelPathManager, own, now => {
      this.own = now
    })
    return this.steering
  }

  apply(wanted: readonly WantedEndpoint[], now = 0): Promise<void> | undefined {
    return this.steering.apply(wanted, now, () => 0.5)
  }

  #of(id: number): MptcpEndpoint {
    const found = this.list.find(endpoint => endpoint.id === id)
    if (!found) throw Object.assign(new Error('mptcp_pm EINVAL'), { code: 'EINVAL' })
    return found
  }

  #change(call: string): void {
    this.calls.push(call)
    if (this.refuses) throw Object.assign(new Error(`mptcp_pm ${this.refuses}`), { code: this.refuses })
  }
}

const on = (access: '3gpp' | 'non-3gpp', backup: boolean): WantedEndpoint => ({
  address: LOCAL[access],
  interfaceIndex: INDEX[access],
  backup,
})
const [wifi, cell] = [on('non-3gpp', false), on('3gpp', true)]

describe('endpoints', () => {
  test('a loop that takes over changes and removes the endpoints of its predecessor, and no others', async () => {
    const kernel = new Kernel()
    kernel.subflows = 1
    kernel.list.push({ id: 9, address: '172.16.0.9', interfaceIndex: 0, flags: ['subflow'] } as never)
    await kernel.apply([cell, wifi])
    const { own } = kernel
    expect(own).toMatchObject({
      endpoints: [
        [LOCAL['non-3gpp'], {}],
        [LOCAL['3gpp'], {}],
      ],
      raised: { from: 1, to: 2 },
    })
    kernel.begin(structuredClone(own))
    kernel.calls.length = 0
    await kernel.apply([{ ...cell, backup: false }, wifi])
    expect(kernel.calls).toEqual([`${LOCAL['3gpp']} subflow`])
    await kernel.steering.close()
    expect(kernel.list.map(({ id }) => id)).toEqual([9])
    expect([kernel.subflows, kernel.own]).toEqual([1, undefined])
  })

  test('missing endpoints are created, active ones first; then flags change; then unwanted ones are removed', async () => {
    const kernel = new Kernel()
    await kernel.apply([cell, wifi])
    expect(kernel.calls).toEqual(['add 10.1.0.2 subflow', 'add 10.2.0.2 subflow,backup'])
    expect(kernel.apply([cell, wifi]), 'the same wish').toBeUndefined()
    await kernel.apply([{ ...cell, backup: false }])
    expect(kernel.calls.slice(2)).toEqual(['10.2.0.2 subflow', 'delete 10.1.0.2'])
    await kernel.steering.close()
    expect(kernel.list).toEqual([])
  })

  test('endpoints of other programs stay as they are', async () => {
    const kernel = new Kernel()
    const theirs: MptcpEndpoint = { id: 7, address: LOCAL['3gpp'], flags: ['subflow'], port: 0, interfaceIndex: 3 }
    kernel.list = [theirs]
    await kernel.apply([wifi, cell])
    await kernel.apply([{ ...cell, backup: false }])
    await kernel.steering.close()
    expect(kernel.list).toEqual([theirs])
    expect(kernel.calls).toEqual(['add 10.1.0.2 subflow', 'delete 10.1.0.2'])
  })

  test('an endpoint that another program has removed is created again', async () => {
    const kernel = new Kernel()
    await kernel.apply([wifi, cell])
    kernel.list = []
    await kernel.apply([wifi, { ...cell, backup: false }])
    expect(kernel.list.map(({ address, flags }) => [address, flags])).toEqual([
      [LOCAL['non-3gpp'], ['subflow']],
      [LOCAL['3gpp'], ['subflow']],
    ])
  })

  test('the limit of subflows is raised, and restored unless another program has set it since', async () => {
    const kernel = new Kernel()
    kernel.subflows = 0
    await kernel.apply([wifi])
    await kernel.apply([wifi, cell])
    expect(kernel.subflows).toBe(2)
    await kernel.steering.close()
    expect(kernel.subflows).toBe(0)
    const other = new Kernel()
    other.subflows = 1
    await other.apply([wifi, cell])
    other.subflows = 5
    await other.steering.close()
    expect(other.subflows).toBe(5)
  })

  test('an endpoint whose removal is refused is not forgotten', async () => {
    const kernel = new Kernel()
    await kernel.apply([wifi, cell])
    kernel.refuses = 'ENOBUFS'
    await expect(kernel.apply([wifi])).rejects.toMatchObject({ code: 'ENOBUFS' })
    expect(kernel.list).toHaveLength(2)
    kernel.refuses = undefined
    await kernel.apply([wifi], 10_000)
    expect(kernel.list).toMatchObject([{ address: LOCAL['non-3gpp'] }])
  })

  test('a refused change is tried again, less and less often; a different change at once', async () => {
    const kernel = new Kernel()
    kernel.refuses = 'EPERM'
    let asked = 0
    for (let now = 0; now < 20_000; now += 50) {
      const applied = kernel.apply([wifi, cell], now)
      if (applied) asked++
      await expect(applied ?? Promise.reject({ code: 'EPERM' })).rejects.toMatchObject({ code: 'EPERM' })
    }
    expect(asked).toBeGreaterThan(4)
    expect(asked).toBeLessThan(10)
    kernel.refuses = undefined
    await kernel.apply([wifi], 20_000)
    expect(kernel.list).toMatchObject([{ address: LOCAL['non-3gpp'] }])
  })
})

test('the steering loop reports a refusal once, and again when it is another', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    const kernel = new Kernel()
    kernel.refuses = 'EPERM'
    const world = new World({ pathManager: false, endpoints: kernel.steering })
    world.connect(5)
    const told = () => world.told.flatMap(event => (event.event === 'endpoints' ? [event.why] : []))
    await world.pass(10_000)
    expect(told()).toEqual(['mptcp_pm EPERM'])
    kernel.refuses = 'ENOSPC'
    await world.pass(20_000)
    expect(told()).toEqual(['mptcp_pm EPERM', 'mptcp_pm ENOSPC'])
    kernel.refuses = undefined
    await world.pass(20_000)
    expect(kernel.list.map(({ address, flags }) => [address, flags])).toEqual([
      [LOCAL['non-3gpp'], ['subflow']],
      [LOCAL['3gpp'], ['subflow', 'backup']],
    ])
  } finally {
    vi.useRealTimers()
  }
})

describe('the same endpoints for all connections', () => {
  const links = { addresses: (access: '3gpp' | 'non-3gpp') => [{ address: LOCAL[access], interfaceIndex: 1 }] }
  const wanting = (cellular: 'active' | 'backup' | 'none', other: 'active' | 'backup' | 'none') => ({
    uses: { '3gpp': cellular, 'non-3gpp': other },
    why: 'x',
  })
  const decisions = new Map([
    [1, wanting('active', 'none')],
    [255, wanting('backup', 'active')],
  ])
  const shown = (connections: number[], of = decisions) => {
    const found = endpointsOfAll(
      of,
      connections.map(rule => ({ rule })),
      links,
    )
    return [found.wanted?.map(({ address, backup }) => `${address}${backup ? ' backup' : ''}`).join(), found.why]
  }

  test.each<[string, number[], string, RegExp]>([
    ['without connections the last rule', [], '10.2.0.2 backup,10.1.0.2', /^$/],
    ['the only rule in use', [1, 1], '10.2.0.2', /^$/],
    ['the rule of most of them, and a complaint', [1, 255, 255], '10.2.0.2 backup,10.1.0.2', /^Rules 255 and 1 need/],
  ])('%s', (_name, connections, wanted, why) => {
    expect(shown(connections)).toEqual([wanted, expect.stringMatching(why)])
  })

  test('rules that agree are no problem; without rules no endpoints are wanted', () => {
    const agreed = new Map([
      [1, wanting('backup', 'active')],
      [2, wanting('backup', 'active')],
    ])
    expect(shown([1, 2], agreed)).toEqual(['10.2.0.2 backup,10.1.0.2', ''])
    expect(shown([], new Map())).toEqual([undefined, ''])
  })
})
