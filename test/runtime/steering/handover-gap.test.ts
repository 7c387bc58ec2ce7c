/** Handovers as the steering loop reports them, and how long nothing arrived meanwhile. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { HandoverGap } from '../../../lib/runtime/steering/handover-gap.js'
import { World } from '../../support/controlled-world.js'

describe('the gap', () => {
  /** What a sample shows: bytes on the access that came until then, and since `after` in order, and what awaits an acknowledgement. */
  interface Shown {
    at: number
    wifi?: number
    cell?: number
    /** When the last bytes came in order, and when none of them had been seen yet. */
    received?: [after: number, last: number]
    acked?: [after: number, last: number]
    awaits?: number
    over: 'wifi' | 'cell' | 'both' | 'none'
  }
  const show = (gap: HandoverGap, { at, wifi, cell, received, acked, awaits, over }: Shown) => {
    if (wifi !== undefined) gap.carried('non-3gpp', wifi)
    if (cell !== undefined) gap.carried('3gpp', cell)
    if (acked) gap.wentOn('sent', ...acked)
    if (received) gap.wentOn('received', ...received)
    gap.awaits(awaits)
    return gap.note(over === 'cell' || over === 'both', over === 'wifi' || over === 'both', at)
  }
  /** A download over Wi-Fi, sampled every 50 ms until `now`. */
  const streaming = (now: number) => {
    const gap = new HandoverGap()
    for (let at = 0; at <= now; at += 50)
      expect(show(gap, { at, wifi: at, received: [at - 50, at], over: 'wifi' })).toBeUndefined()
    return gap
  }
  /** It goes on over cellular from `from` on, without a pause, until the handover is reported. */
  const goesOn = (gap: HandoverGap, from: number) => {
    for (let at = from; at < from + 2_000; at += 10) {
      const handover = show(gap, { at, cell: at, received: [at - 10, at], over: 'cell' })
      if (handover) return { at, handover }
    }
    return undefined
  }
  const toWifi = { from: '3gpp', to: 'non-3gpp' }
  const toCell = { from: 'non-3gpp', to: '3gpp' }

  test('from the last byte before to the first one after, between the samples that show it', () => {
    const gap = streaming(1000)
    expect(show(gap, { at: 1060, over: 'cell' })).toBeUndefined()
    expect(gap.isAwaited(1060)).toBe(true)
    expect(show(gap, { at: 1110, cell: 1108, received: [1100, 1108], over: 'cell' })).toBeUndefined()
    expect(goesOn(gap, 1120)).toMatchObject({ at: 1360, handover: { ...toCell, gapMs: 104 } })
    expect(gap.isAwaited(1370)).toBe(false)
  })

  test('a fast download: what comes over the new access at once is behind what was lost, and cannot be read yet', () => {
    const gap = streaming(1000)
    // The rest of the queue of the old access, and bytes of the new one, out of order.
    expect(show(gap, { at: 1010, wifi: 1008, received: [1000, 1008], over: 'none' })).toBeUndefined()
    for (let at = 1020; at < 1190; at += 10) expect(show(gap, { at, cell: at, over: 'cell' })).toBeUndefined()
    expect(show(gap, { at: 1190, cell: 1190, received: [1180, 1190], over: 'cell' })).toBeUndefined()
    expect(goesOn(gap, 1200)).toMatchObject({ handover: { ...toCell, gapMs: 177 } })
  })

  test('in several bursts: the longest pause counts', () => {
    const gap = streaming(1000)
    show(gap, { at: 1060, over: 'cell' })
    show(gap, { at: 1100, cell: 1100, received: [1090, 1100], over: 'cell' })
    for (let at = 1110; at < 1400; at += 10) expect(show(gap, { at, cell: at, over: 'cell' })).toBeUndefined()
    expect(show(gap, { at: 1400, cell: 1400, received: [1390, 1400], over: 'cell' })).toBeUndefined()
    expect(goesOn(gap, 1410)).toMatchObject({ at: 1650, handover: { ...toCell, gapMs: 295 } })
  })

  test('the peer has left the lost access by itself, before this side does', () => {
    const gap = streaming(1000)
    expect(show(gap, { at: 1310, cell: 1308, received: [1300, 1308], over: 'both' })).toBeUndefined()
    for (let at = 1320; at < 1500; at += 10) show(gap, { at, cell: at, received: [at - 10, at], over: 'both' })
    expect(goesOn(gap, 1500)).toMatchObject({ handover: { ...toCell, gapMs: 304 } })
  })

  test('without any access meanwhile, and with bytes that came before the flags were read', () => {
    const gap = streaming(1000)
    expect(show(gap, { at: 1050, over: 'none' })).toBeUndefined()
    expect(show(gap, { at: 4010, cell: 4010, received: [4000, 4010], over: 'none' })).toBeUndefined()
    expect(goesOn(gap, 4020)).toMatchObject({ handover: { ...toCell, gapMs: 3005 } })
  })

  test('none while bytes go on coming over the old access: those in flight', () => {
    const gap = streaming(1000)
    expect(show(gap, { at: 1050, wifi: 1040, received: [1000, 1040], over: 'cell' })).toBeUndefined()
    expect(show(gap, { at: 1100, wifi: 1095, cell: 1099, received: [1090, 1099], over: 'cell' })).toBeUndefined()
    expect(goesOn(gap, 1110)!.handover.gapMs).toBeLessThan(60)
  })

  test('an idle connection has moved, and was not interrupted', () => {
    const gap = streaming(1000)
    expect(show(gap, { at: 9_000, over: 'none' })).toBeUndefined()
    expect(show(gap, { at: 9_050, over: 'cell' })).toEqual({ ...toCell, gapMs: undefined })
  })

  test('something was outstanding: its acknowledgement ends the gap, however late it is', () => {
    const gap = new HandoverGap()
    show(gap, { at: 20, wifi: 10, acked: [0, 10], awaits: 15, over: 'wifi' })
    for (const at of [3_000, 20_000]) expect(show(gap, { at, awaits: 15, over: 'cell' })).toBeUndefined()
    expect(show(gap, { at: 20_010, cell: 20_010, acked: [20_000, 20_010], over: 'cell' })).toBeUndefined()
    expect(show(gap, { at: 20_260, over: 'cell' })).toMatchObject({ gapMs: 19_990 })
  })

  test('what was written after a long pause has not waited for that pause', () => {
    const gap = new HandoverGap()
    show(gap, { at: 20, wifi: 10, acked: [0, 10], over: 'wifi' })
    show(gap, { at: 60_000, awaits: 59_990, over: 'wifi' })
    show(gap, { at: 60_080, awaits: 59_990, over: 'cell' })
    show(gap, { at: 60_150, cell: 60_150, acked: [60_150, 60_150], over: 'cell' })
    expect(show(gap, { at: 60_400, over: 'cell' })).toMatchObject({ gapMs: 160 })
  })

  test('of both directions the one that waited longer', () => {
    const gap = new HandoverGap()
    for (let at = 0; at <= 1000; at += 50)
      show(gap, { at, wifi: at, received: [at - 50, at], acked: [at - 50, at], awaits: 0, over: 'wifi' })
    show(gap, { at: 1050, awaits: 0, over: 'cell' })
    show(gap, { at: 1100, cell: 1100, received: [1100, 1100], awaits: 0, over: 'cell' })
    for (let at = 1110; at < 1500; at += 10)
      expect(show(gap, { at, cell: at, received: [at - 10, at], awaits: 0, over: 'cell' })).toBeUndefined()
    show(gap, { at: 1500, cell: 1500, acked: [1490, 1500], awaits: 0, over: 'cell' })
    for (let at = 1510; at < 1750; at += 10)
      show(gap, { at, cell: at, received: [at - 10, at], acked: [at - 10, at], awaits: 0, over: 'cell' })
    expect(goesOn(gap, 1750)).toMatchObject({ handover: { ...toCell, gapMs: 495 } })
  })

  test('a stream that ended just then is given up', () => {
    const gap = streaming(1000)
    show(gap, { at: 1050, over: 'cell' })
    expect(show(gap, { at: 11_000, over: 'cell' })).toBeUndefined()
    expect(show(gap, { at: 11_060, over: 'cell' })).toEqual({ ...toCell, gapMs: undefined })
    expect(show(gap, { at: 12_050, cell: 12_050, received: [12_000, 12_050], over: 'cell' })).toBeUndefined()
  })

  test('moved on before a byte came: one gap, of the second handover', () => {
    const gap = streaming(1000)
    show(gap, { at: 1050, over: 'cell' })
    expect(show(gap, { at: 1500, over: 'wifi' })).toEqual({ ...toCell, gapMs: undefined })
    show(gap, { at: 1610, wifi: 1610, received: [1600, 1610], over: 'wifi' })
    for (let at = 1620; at < 1860; at += 10) show(gap, { at, wifi: at, received: [at - 10, at], over: 'wifi' })
    expect(show(gap, { at: 1860, wifi: 1860, received: [1850, 1860], over: 'wifi' })).toEqual({ ...toWifi, gapMs: 605 })
  })

  test('moved on soon after: each has its gap', () => {
    const gap = streaming(1000)
    show(gap, { at: 1050, over: 'cell' })
    show(gap, { at: 1100, cell: 1100, received: [1100, 1100], over: 'cell' })
    expect(show(gap, { at: 1110, cell: 1110, received: [1100, 1110], over: 'wifi' })).toEqual({ ...toCell, gapMs: 100 })
    show(gap, { at: 1300, wifi: 1300, received: [1300, 1300], over: 'wifi' })
    expect(show(gap, { at: 2_400, over: 'wifi' })).toMatchObject({ ...toWifi, gapMs: 190 })
  })

  test('the access came back before all data went over the other one: no handover', () => {
    const gap = streaming(1000)
    show(gap, { at: 1050, over: 'none' })
    show(gap, { at: 1100, over: 'wifi' })
    expect(show(gap, { at: 1110, wifi: 1110, received: [1100, 1110], over: 'wifi' })).toBeUndefined()
  })
})

describe('the loop', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
  afterEach(() => void vi.useRealTimers())
  const reported = (world: World) => world.told.filter(({ event }) => event === 'handover')

  test('reports a handover once the stream goes on, and looks often until then', async () => {
    const world = new World()
    const connection = world.connect(5)
    await world.pass(100)
    const [wifi, cell] = connection.subflows
    await world.wait(500, { period: 50, each: () => world.receive(wifi!) })
    world.links({ 'non-3gpp': false })
    await world.settled()
    await world.wait(50)
    expect(reported(world)).toEqual([])
    // The loop's own timer: it does not wait for the next full scan.
    const scans = world.followed
    world.now += 10
    vi.advanceTimersByTime(10)
    expect(world.followed).toBeGreaterThan(scans)
    await world.wait(300, { each: () => world.receive(cell!) })
    const [first, ...others] = reported(world) as { gapMs: number }[]
    const { gapMs, ...handover } = first!
    expect(others).toEqual([])
    expect(handover).toEqual({
      ...{ event: 'handover', token: connection.token, from: 'non-3gpp', to: '3gpp' },
      why: expect.stringContaining('non-3gpp is not available: wifi has no carrier'),
    })
    expect(gapMs).toBeGreaterThan(50)
    expect(gapMs).toBeLessThan(80)
  })

  test('does not report the moves that keep percentages', async () => {
    const world = new World({ rules: [[255, { mode: 'load-balancing', percent3gpp: 50 } as never]] })
    const connection = world.connect(5)
    await world.pass(100)
    const [wifi, cell] = connection.subflows
    for (let i = 0; i < 40; i++) {
      const flagged = world.of('set-backup').at(-1)
      const onCell = flagged?.local.port === cell?.sample.localPort && flagged?.backup === false
      await world.wait(50, { period: 50, each: () => world.receive(onCell && cell ? cell : wifi!, 20_000) })
    }
    expect(world.of('set-backup').length).toBeGreaterThan(4)
    expect(reported(world)).toEqual([])
  })
})
