/**
 * The demo's third part: a live stream on one connection, to the device and from it, while its rule is changed, Wi-Fi is cut and
 * restored, and Wi-Fi becomes a black hole. The one from the device shows only the losses.
 */
import { availableParallelism, loadavg } from 'node:os'
import { setTimeout as wait } from 'node:timers/promises'
import type { Lab } from 'atsss/lab'
import type { Arrival, Direction } from './content.js'
import type { Meter } from './meter.js'
import type { Mark, Panel } from './picture.js'
import type { Logged, Transferred } from './session.js'
import { type DemoSession, everything, updateRules } from './steering.js'
import { megabytes, say, table, verdict } from './text.js'

const MBPS = 12
/** Round-trip time of cellular, which takes over. */
const RTT_MS = 60
/** Half a round trip for the new path's first byte, one for what was lost in flight, which its first window may not hold. */
const CARRIER_TARGET_MS = 20 + 1.5 * RTT_MS
const BLACK_HOLE_TARGET_MS = 3 * RTT_MS + 100
/** A gap that ends within this time after an event counts as its effect. */
const AFTERMATH_MS = 2_500

const ACTIVE_STANDBY = everything({
  steerModeValue: 'ACTIVE_STANDBY',
  active: 'NON_3GPP_ACCESS',
  standby: '3GPP_ACCESS',
})
const SMALLEST_DELAY = everything({ steerModeValue: 'SMALLEST_DELAY' })
const [FAST_RTT_MS, SLOW_RTT_MS] = [20, 160]
const HALF_EACH = everything({ steerModeValue: 'LOAD_BALANCING', '3gLoad': 50 })

const STREAMS = {
  down: { what: 'from the server, like a video', receiver: 'device' },
  up: { what: 'to the server, like a camera', receiver: 'server' },
}

/** How long the stream runs before anything happens. */
const BEGINNING_MS = 3_000

interface Step {
  what: string
  /** In the picture. */
  label: string
  note?: string
  /** How long to wait before the next step. */
  ms: number
  act(): Promise<unknown>
  targetMs?: number
}

export async function showStream(lab: Lab, session: DemoSession, meter: Meter, direction: Direction): Promise<Panel> {
  const wifi = lab.link('wifi')
  const changes: Step[] = [
    {
      ...{ what: 'the rule becomes Load-Balancing 50/50', label: 'Load-Balancing', note: '50/50', ms: 3_000 },
      act: () => updateRules(session, HALF_EACH),
    },
    {
      ...{ what: 'the rule is Active-Standby again', label: 'Active-Standby', note: 'rule changed', ms: 3_000 },
      act: () => updateRules(session, ACTIVE_STANDBY),
    },
  ]
  const losses: Step[] = [
    {
      ...{ what: 'Wi-Fi loses its carrier', label: 'Wi-Fi cut', ms: 2_500, targetMs: CARRIER_TARGET_MS },
      act: () => wifi.set({ carrier: false }),
    },
    { what: 'Wi-Fi is restored', label: 'Wi-Fi restored', ms: 3_000, act: () => wifi.set({ carrier: true }) },
    {
      ...{ what: 'Wi-Fi swallows everything, silently', label: 'Wi-Fi silent', ms: 3_000 },
      ...{ targetMs: BLACK_HOLE_TARGET_MS, act: () => wifi.set({ down: true }) },
    },
    { what: 'Wi-Fi delivers again', label: 'Wi-Fi back', ms: 3_500, act: () => wifi.set({ down: false }) },
  ]
  const delays: Step[] = [
    {
      ...{ what: 'the rule becomes Smallest Delay', label: 'Smallest Delay', note: 'rule changed', ms: 3_000 },
      act: () => updateRules(session, SMALLEST_DELAY),
    },
    {
      ...{
        what: `Wi-Fi slows down, to ${SLOW_RTT_MS} ms RTT`,
        label: 'Wi-Fi slow',
        note: `${SLOW_RTT_MS} ms RTT`,
        ms: 4_000,
      },
      act: () => wifi.set({ delayMs: SLOW_RTT_MS / 2 }),
    },
  ]

  const steps = direction === 'down' ? [...changes, ...losses, ...delays] : losses
  const { what, receiver } = STREAMS[direction]
  say(`A live stream of ${MBPS} Mbit/s ${what}, on one connection, under Active-Standby (Wi-Fi, then cellular):`)
  await updateRules(session, ACTIVE_STANDBY)
  const streamed = session.program.answer<Transferred>('streamed')
  const from = Date.now()
  session.program.send({ stream: { direction, mbps: MBPS } })
  await wait(BEGINNING_MS)
  const done: (Step & { at: number })[] = []
  for (const step of steps) {
    const at = Date.now()
    await step.act()
    done.push({ ...step, at })
    await wait(step.ms)
  }
  const to = Date.now()
  session.program.send({ end: true })
  const { sha256, connections, arrival } = await streamed
  // As it was, for the next part.
  await wifi.set({ delayMs: FAST_RTT_MS / 2 })

  const log = session.log.filter(({ at }) => at >= from)
  for (const line of chronicle(done, log, from)) say(line)
  const intact = arrival.sha256 === sha256
  say(`  ${megabytes(arrival.bytes)} have arrived, connections made: ${connections}, intact: ${verdict(intact)}.\n`)
  showTargets(done, arrival, from, receiver)
  const marks: Mark[] = done.map(({ at, label, note, targetMs }) => ({
    ...{ at, label },
    ...(note ? { note } : {}),
    ...(targetMs ? { note: `gap ${longestGap(arrival, at, at + AFTERMATH_MS).toFixed(0)} ms` } : {}),
  }))
  marks.unshift({ at: from, label: 'Active-Standby', note: 'Wi-Fi active' })
  const title = `A live stream of ${MBPS} Mbit/s ${what}, on one connection`
  return { title, readings: meter.between(from, to, direction), marks }
}

/** What was done, and what the session reported. */
function chronicle(done: { at: number; what: string }[], log: Logged[], from: number): string[] {
  const lines = [
    ...done.map(({ at, what }) => ({ at, text: what })),
    ...log.map(({ at, text }) => ({ at, text: `  ← ${text}` })),
  ]
  return lines
    .sort((a, b) => a.at - b.at)
    .map(({ at, text }) => `  ${((at - from) / 1000).toFixed(2).padStart(6)} s  ${text}`)
}

function showTargets(done: (Step & { at: number })[], arrival: Arrival, from: number, receiver: string): void {
  const rows = [['', `longest gap at the ${receiver}`, 'target', 'met']]
  for (const { what, at, targetMs } of done) {
    if (targetMs === undefined) continue
    const gap = longestGap(arrival, at, at + AFTERMATH_MS)
    rows.push([what, `${gap.toFixed(0)} ms`, `≤ ${targetMs} ms`, gap <= targetMs ? 'yes' : 'no'])
  }
  say(table(rows))
  say(`  Targets: carrier lost, 20 ms + 1.5 RTT; black hole, 3 RTT + 100 ms; RTT is cellular's, ${RTT_MS} ms.`)
  const [load] = loadavg()
  const processors = availableParallelism()
  const undisturbed = longestGap(arrival, from + 500, from + BEGINNING_MS)
  say(`  Before anything happened, the longest gap of the stream was ${undisturbed.toFixed(0)} ms.`)
  if (load! > processors)
    say(
      `  The machine is busy, with a load of ${load!.toFixed(1)} on ${processors} processors: these figures include its delays.`,
    )
}

/** Among the gaps that ended in this time. */
function longestGap({ gaps }: Arrival, from: number, to: number): number {
  return Math.max(0, ...gaps.filter(({ at }) => at >= from && at <= to).map(({ ms }) => ms))
}
