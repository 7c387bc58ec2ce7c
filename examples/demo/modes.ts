/** The demo's second part: the same download, and the same upload, under each steering mode. */
import type { AtsssRule } from 'atsss'
import type { Direction } from './content.js'
import type { Meter } from './meter.js'
import type { Mark, Panel } from './picture.js'
import type { Transferred } from './session.js'
import { type DemoSession, everything, updateRules } from './steering.js'
import { megabytes, say, seconds, table, verdict } from './text.js'

const BYTES = 20_000_000
const NAMES = { down: 'download', up: 'upload' }
const RECEIVERS = { down: 'device', up: 'server' }

const MODES: { name: string; detail: string; steeringMode: AtsssRule['steeringMode'] }[] = [
  {
    ...{ name: 'Active-Standby', detail: 'Wi-Fi active' },
    steeringMode: { steerModeValue: 'ACTIVE_STANDBY', active: 'NON_3GPP_ACCESS', standby: '3GPP_ACCESS' },
  },
  { name: 'Smallest Delay', detail: 'RTT 20 or 60 ms', steeringMode: { steerModeValue: 'SMALLEST_DELAY' } },
  {
    ...{ name: 'Load-Balancing', detail: '80/20' },
    steeringMode: { steerModeValue: 'LOAD_BALANCING', '3gLoad': 20 },
  },
  {
    ...{ name: 'Load-Balancing', detail: 'autonomous' },
    steeringMode: { steerModeValue: 'LOAD_BALANCING', steerModeInd: 'AUTO_LOAD_BALANCE' },
  },
  {
    ...{ name: 'Priority-based', detail: 'Wi-Fi, RTT ≤ 30 ms' },
    steeringMode: { steerModeValue: 'PRIORITY_BASED', prioAcc: 'NON_3GPP_ACCESS', thresValue: { rttThres: 30 } },
  },
]

export async function showModes(session: DemoSession, meter: Meter, direction: Direction): Promise<Panel> {
  say(`The same ${NAMES[direction]} of 20 MB under each steering mode:`)
  const rows = [['mode', 'time', 'over Wi-Fi', 'over cellular', 'longest gap', 'intact']]
  const marks: Mark[] = []
  const from = Date.now()
  for (const { name, detail, steeringMode } of MODES) {
    await updateRules(session, everything(steeringMode))
    const before = (await meter.read())[direction]
    const { ms, sha256, arrival } = await transfer(session, direction)
    const after = (await meter.read())[direction]
    const wifi = after.wifi - before.wifi
    const cell = after.cell - before.cell
    const intact = arrival.sha256 === sha256 && arrival.bytes === BYTES
    const share = (bytes: number) => `${megabytes(bytes)} (${((100 * bytes) / (wifi + cell)).toFixed(0)} %)`
    rows.push([
      ...[`${name}, ${detail}`, seconds(ms), share(wifi), share(cell)],
      ...[`${arrival.longestGapMs.toFixed(0)} ms`, verdict(intact)],
    ])
    marks.push({ at: before.at, label: name, note: `${detail}: ${seconds(ms)}` })
  }
  say(table(rows))
  say(`  Bytes as the links count them, headers included; the longest gap as the ${RECEIVERS[direction]} sees it.\n`)
  const title = `${direction === 'down' ? 'A download' : 'An upload'} of 20 MB under each steering mode`
  return { title, readings: meter.between(from, Date.now(), direction), marks }
}

function transfer({ program }: DemoSession, direction: Direction): Promise<Transferred> {
  const transferred = program.answer<Transferred>('transferred')
  program.send({ transfer: { direction, bytes: BYTES } })
  return transferred
}
