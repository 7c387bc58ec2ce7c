/** Handovers as the steering loop reports them, and how long nothing arrived meanwhile. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { HandoverGap } from '../../../lib/runtime/steering/handover-gap.js'
import { World } from '../../support/controlled-world.js'

describe('the gap', () => {
  /** A stream over non-3GPP access, sampled every 50 ms until `now`. */
  const streaming = (now: number) => {
    const gap = new HandoverGap()
    for (let at = 0; at <= now; at += 50) {
      gap.moved('non-3gpp', at - 50, at)
      expect(gap.note(false, true, false, at)).toBeUndefined()
    }
    return gap
  }

  test('from the last byte before to the first one after, between the samples that show it', () => {
    const gap = streaming(1000)
    expect(gap.note(true, false, false, 1060)).toBeUndefined()
    expect(gap.isAwaited(1060)).toBe(true)
    gap.moved('3gpp', 1100, 1108)
    const handover = { from: 'non-3gpp', to: '3gpp', gapMs: 104 }
    expect(gap.note(true, false, false, 1110)).toEqual(handover)
    expect(gap.isAwaited(1110)).toBe(false)
  })

  test('without any access meanwhile, and with bytes that came before the flags were read', () => {
    const gap = streaming(1000)
    expect(gap.note(false, false, false, 1050)).toBeUndefined()
    gap.moved('3gpp', 4000, 4010)
    expect(gap.note(false, false, false, 4010)).toBeUndefined()
    expect(gap.note(true, false, false, 4020)).toEqual({ from: 'non-3gpp', to: '3gpp', gapMs: 3005 })
  })

  test('none while bytes go on coming over the old access: those in flight', () => {
    const gap = streaming(1000)
    gap.moved('non-3gpp', 1000, 1040)
    expect(gap.note(true, false, false, 1050)).toBeUndefined()
    gap.moved('non-3gpp', 1050, 1095)
    gap.moved('3gpp', 1050, 1099)
    expect(gap.note(true, false, false, 1100)).toEqual({ from: 'non-3gpp', to: '3gpp', gapMs: 2 })
  })

  test('an idle connection has moved, and was not interrupted', () => {
    const gap = streaming(1000)
    expect(gap.note(false, false, false, 9_000)).toBeUndefined()
    expect(gap.note(true, false, false, 9_050)).toEqual({ from: 'non-3gpp', to: '3gpp', gapMs: undefined })
  })

  test('something was outstanding: its acknowledgement ends the gap, however late it is', () => {
    const gap = new HandoverGap()
    gap.moved('non-3gpp', 0, 10)
    gap.note(false, true, true, 20)
    expect(gap.note(true, false, true, 3_000)).toBeUndefined()
    expect(gap.note(true, false, true, 20_000)).toBeUndefined()
    gap.moved('3gpp', 20_000, 20_010)
    expect(gap.note(true, false, false, 20_010)).toMatchObject({ gapMs: 19_995 })
  })

  test('a stream that ended just then is given up', () => {
    const gap = streaming(1000)
    gap.note(true, false, false, 1050)
    expect(gap.note(true, false, false, 11_000)).toBeUndefined()
    expect(gap.note(true, false, false, 11_060)).toEqual({ from: 'non-3gpp', to: '3gpp', gapMs: undefined })
    gap.moved('3gpp', 12_000, 12_050)
    expect(gap.note(true, false, false, 12_050)).toBeUndefined()
  })

  test('moved on before a byte came: one gap, of the second handover', () => {
    const gap = streaming(1000)
    gap.note(true, false, false, 1050)
    expect(gap.note(false, true, false, 1500)).toEqual({ from: 'non-3gpp', to: '3gpp', gapMs: undefined })
    gap.moved('non-3gpp', 1600, 1610)
    expect(gap.note(false, true, false, 1610)).toMatchObject({ from: '3gpp', to: 'non-3gpp' })
  })

  test('the access came back before all data went over the other one: no handover', () => {
    const gap = streaming(1000)
    gap.note(false, false, false, 1050)
    gap.note(false, true, false, 1100)
    gap.moved('non-3gpp', 1100, 1110)
    expect(gap.note(false, true, false, 1110)).toBeUndefined()
  })
})

describe('the loop', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
  afterEach(() => void vi.useRealTimers())
  const reported = (world: World) => world.told.filter(({ event }) => event === 'handover')

  test('reports a handover once the first bytes have come, and looks often until then', async () => {
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
    world.receive(cell!)
    await world.wait(10)
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
