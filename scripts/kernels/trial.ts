/**
 * Tries what this kernel can do, in a lab of two accesses, a converter and a server on this kernel. Prints one JSON line for each row of
 * `rows.ts`. `node trial.js brief` leaves out the rows of bulk data.
 */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { isIPv4, isIPv6 } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { RulesInput } from 'atsss'
import { type Capture, MPTCP_SUBTYPE, openLab, type Packet } from 'atsss/lab'
import type { Finding } from '../../lib/cli/doctor/finding.js'
import type { Calls } from './device.js'
import type { RowName } from './rows.js'

/** In milliseconds. A longer gap is not a handover, but a timeout of TCP. */
const LONGEST_GAP = 500
const SPARSE = { bytes: 200, every: 50 }

const program = (name: string) => fileURLToPath(new URL(`./${name}.js`, import.meta.url))
const cli = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
const brief = process.argv[2] === 'brief'

const found = (row: RowName, good: boolean, shown: string) =>
  process.stdout.write(`${JSON.stringify({ row, good, shown })}\n`)
const failed = (row: RowName) => (error: Error) => found(row, false, error.message)
const milliseconds = (value: number) => `${Math.round(value)} ms`

const lab = await openLab()
// Allow Fast Open at both ends, as README requires for the host of a converter.
for (const host of [lab.ue, lab.converter]) await host.sysctl('net.ipv4.tcp_fastopen', 3)
const converter = lab.converter.spawn(process.execPath, [
  ...[cli, 'converter', '--json', '--quiet', '--allow', '0.0.0.0/0', '--allow', '::/0'],
  ...['--listen', '192.0.2.1:5124', '--listen', '[2001:db8:c::1]:5124', '--pcp'],
])
const server = lab.server.spawn(process.execPath, [program('server'), lab.serverAddress.v4!, '80'])
const serverLines = createInterface(server.stdout)[Symbol.asyncIterator]()
await Promise.all([once(converter.stdout, 'data'), serverLines.next()])
converter.stdout.resume()
let device: Device

try {
  device = await startDevice('userspace')
  await withUserspacePathManager()
  device.end()
  device = await startDevice('kernel')
  await withKernelPathManager()
  device.end()
} finally {
  await lab.close()
}
process.exit(0)

async function withUserspacePathManager(): Promise<void> {
  const support = await call('isSupported')
  found('support', support.supported, support.supported ? 'yes' : `no: ${support.reason}`)
  if (!support.supported) return
  const zeroRtt = await connections()
  await asDoctorSays(zeroRtt)
  const ready = await call('ready')
  found('level', ready.level === 'userspace', ready.level)
  await attempt('interface', subflows)
  await attempt('standbyDown', standby)
  await attempt('balanceUp', balance)
  const carrier = [{ carrier: false }, { carrier: true }] as const
  const hole = [{ down: true }, { down: false }] as const
  await attempt('carrierSparseDown', () => sparse(...carrier, 'carrierSparseDown', 'carrierSparseUp'))
  await attempt('holeSparseDown', () => sparse(...hole, 'holeSparseDown', 'holeSparseUp'))
  await attempt('incoming', incoming)
  if (!brief) {
    await attempt('aggregateDown', aggregate)
    await attempt('carrierBulkDown', () => bulk('down', ...carrier, 'carrierBulkDown'))
    await attempt('carrierBulkUp', () => bulk('up', ...carrier, 'carrierBulkUp'))
    await attempt('holeBulkDown', () => bulk('down', ...hole, 'holeBulkDown'))
    await attempt('holeBulkUp', () => bulk('up', ...hole, 'holeBulkUp'))
  }
  // Without Fast Open a session's server says so, as it should.
  const expected = (report: string) => !zeroRtt && report.includes('"what":"fast-open"')
  const reports = (await call('reports')).filter(report => !expected(report))
  found('reports', reports.length === 0, reports.length === 0 ? 'none' : reports.join('; '))
}

async function withKernelPathManager(): Promise<void> {
  const ready = await call('ready')
  await call('update', activeStandby('NON_3GPP_ACCESS', '3GPP_ACCESS'))
  await call('open', 'up', 'take up', SPARSE)
  await wait(1500)
  await serverGap('up')
  await lab.link('wifi').set({ carrier: false })
  await wait(3000)
  const { gap } = await serverGap('up')
  found('kernelLevel', ready.level === 'kernel' && gap < LONGEST_GAP, `${ready.level}, ${milliseconds(gap)}`)
}

/** @returns whether 0-RTT succeeded */
async function connections(): Promise<boolean> {
  let zeroRtt = false
  try {
    const { protocol, convert } = await call('request', { mptcp: 'require', interface: 'wifi' })
    found('oneRtt', protocol === 'mptcp', `${protocol}, ${convert}`)
    zeroRtt = convert === '0rtt'
    found('zeroRtt', zeroRtt, zeroRtt ? 'yes' : `no: ${convert}`)
  } catch (error) {
    failed('oneRtt')(error as Error)
  }
  await attempt('ipv6', async () => {
    const { protocol } = await call('request', { mptcp: 'require', converters: '[2001:db8:c::1]:5124' })
    found('ipv6', protocol === 'mptcp', protocol ?? 'none')
  })
  return zeroRtt
}

async function asDoctorSays(zeroRtt: boolean): Promise<void> {
  const args = ['doctor', '--json', '--converter', '192.0.2.1:5124', '--3gpp', 'cell', '--non-3gpp', 'wifi']
  const { stdout } = await lab.ue
    .run(process.execPath, [cli, ...args])
    .catch((error: { stdout?: string }) => ({ stdout: error.stdout ?? '' }))
  for (const { id, state, title, found } of (JSON.parse(stdout) as { findings: Finding[] }).findings)
    if (state !== 'good' || title.startsWith('Converter') || id === 'subflow-interface')
      process.stdout.write(`# doctor: ${state}: ${title}: ${found}\n`)
  const says = /0-RTT\b/.test(stdout) && /SYN data acknowledged/.test(stdout)
  found('doctor', says === zeroRtt, says ? 'says 0-RTT' : 'says no 0-RTT')
}

/** The interface of the second subflow, its backup bit, and whether the bit changes. */
async function subflows(): Promise<void> {
  const [wifi, cell] = await Promise.all(
    ['wifi', 'cell'].map(name => lab.link(name).capture(`/tmp/kernels-${name}.pcap`)),
  )
  await call('update', activeStandby('NON_3GPP_ACCESS', '3GPP_ACCESS'))
  await call('open', 'flags', 'push 200 50')
  await wait(2000)
  const joins = async (capture: Capture) => (await capture.packets()).filter(isJoin)
  const [byWifi, byCell] = [await joins(wifi!), await joins(cell!)]
  const own = byCell.filter(packet => isOf(packet, 'cell'))
  const stray = [...byWifi.filter(packet => isOf(packet, 'cell')), ...byCell.filter(packet => isOf(packet, 'wifi'))]
  found('interface', own.length > 0 && stray.length === 0, own.length > 0 ? `yes (${stray.length} strays)` : 'no')
  const flagged = own.filter(packet => (option(packet)![0]! & 1) === 1)
  found('backup', own.length > 0 && flagged.length === own.length, `${flagged.length} of ${own.length}`)
  await call('update', activeStandby('3GPP_ACCESS', 'NON_3GPP_ACCESS'))
  await wait(1500)
  const packets = [...(await wifi!.packets()), ...(await cell!.packets())]
  const prios = packets.filter(hasPriority)
  found('prio', prios.length > 0, `${prios.length} MP_PRIO`)
  await Promise.all([wifi!.stop(), cell!.stop()])
  await call('close', 'flags')
}

async function standby(): Promise<void> {
  const total = brief ? 300_000 : 3_000_000
  await call('update', activeStandby('NON_3GPP_ACCESS', '3GPP_ACCESS'))
  const carried = async () => await lab.link('cell').stats()
  // Wait for the second subflow before sending anything.
  await call('open', 'down', 'push 100 1000')
  await wait(1000)
  const before = await carried()
  await call('open', 'bulk', `send ${total}`)
  await until(async () => (await call('arrived', 'bulk')).done, 20_000)
  const between = await carried()
  await call('open', 'up', 'take standby', { bytes: 60_000, every: 10 })
  await until(async () => (await serverGap('standby')).bytes > total, 20_000)
  await call('close', 'up')
  await call('close', 'down')
  const after = await carried()
  const down = between.downlink.bytes - before.downlink.bytes
  const up = after.uplink.bytes - between.uplink.bytes
  found('standbyDown', down < total / 30, `${down} B of ${total / 1000} kB`)
  found('standbyUp', up < total / 15, `${up} B of ${total / 1000} kB`)
}

async function aggregate(): Promise<void> {
  await call('update', 'aggregate')
  const start = performance.now()
  await call('open', 'bulk', 'send 4000000')
  await until(async () => (await call('arrived', 'bulk')).done, 20_000)
  const rate = (4_000_000 * 8) / (performance.now() - start) / 1000
  const { bytes } = await call('arrived', 'bulk')
  found('aggregateDown', bytes === 4_000_000, `${rate.toFixed(0)} Mbit/s`)
  await call('open', 'wide', 'take wide', { bytes: 65_536, every: 0 })
  await wait(500)
  const before = await uplink()
  await wait(1000)
  const after = await uplink()
  await call('close', 'wide')
  const [wifi, cell] = [after.wifi - before.wifi, after.cell - before.cell]
  const up = ((wifi + cell) * 8) / 1e6
  found('aggregateUp', wifi > 0 && cell > 0, `${up.toFixed(0)} Mbit/s`)
}

async function balance(): Promise<void> {
  await call('update', rule({ steerModeValue: 'LOAD_BALANCING', '3gLoad': 30 }))
  await call('open', 'balance', 'take balance', { bytes: 6250, every: 25 })
  await wait(2500)
  const before = await uplink()
  await wait(5000)
  const after = await uplink()
  const [cell, wifi] = [after.cell - before.cell, after.wifi - before.wifi]
  const percent = (100 * cell) / (cell + wifi)
  found('balanceUp', Math.abs(percent - 30) <= 4, `${percent.toFixed(1)} %`)
  await call('close', 'balance')
}

type Change = Parameters<ReturnType<typeof lab.link>['set']>[0]

async function sparse(lost: Change, back: Change, rowDown: RowName, rowUp: RowName): Promise<void> {
  await call('update', activeStandby('NON_3GPP_ACCESS', '3GPP_ACCESS'))
  await call('open', 'down', `push ${SPARSE.bytes} ${SPARSE.every}`)
  await call('open', 'up', `take up${rowUp}`, SPARSE)
  await wait(2000)
  await Promise.all([call('arrived', 'down'), serverGap(`up${rowUp}`)])
  await lab.link('wifi').set(lost)
  await wait(3000)
  const down = await call('arrived', 'down')
  const up = await serverGap(`up${rowUp}`)
  await lab.link('wifi').set(back)
  found(rowDown, down.gap < LONGEST_GAP, milliseconds(down.gap))
  found(rowUp, up.gap < LONGEST_GAP, milliseconds(up.gap))
  await call('close', 'down')
  await call('close', 'up')
  await wait(3000)
}

async function bulk(direction: 'up' | 'down', lost: Change, back: Change, row: RowName): Promise<void> {
  await call('update', activeStandby('NON_3GPP_ACCESS', '3GPP_ACCESS'))
  if (direction === 'down') await call('open', 'bulk', 'send 100000000')
  else await call('open', 'bulk', `take ${row}`, { bytes: 65_536, every: 0 })
  const gap = async () => (direction === 'down' ? await call('arrived', 'bulk') : await serverGap(row)).gap
  await wait(1500)
  await gap()
  await lab.link('wifi').set(lost)
  await wait(1500)
  const longest = await gap()
  await lab.link('wifi').set(back)
  await call('close', 'bulk')
  found(row, longest < LONGEST_GAP, milliseconds(longest))
  await wait(3000)
}

async function incoming(): Promise<void> {
  await call('update', activeStandby('NON_3GPP_ACCESS', '3GPP_ACCESS'))
  const places = await call('serve', 8080)
  await visit(
    places.find(({ address }) => isIPv4(address)),
    'incoming',
    'incomingJoin',
  )
  await visit(
    places.find(({ address }) => isIPv6(address)),
    undefined,
    'incomingJoin6',
  )
}

async function visit(place: { address: string; port: number } | undefined, row: RowName | undefined, rowJoin: RowName) {
  if (place === undefined) {
    found(row ?? rowJoin, false, 'no mapping')
    return
  }
  const { address, port } = place
  const script = `exec 3<>/dev/tcp/${address}/${port}; for i in $(seq 20); do echo "hello $i" >&3; head -1 <&3 || exit 1; sleep 0.1; done`
  const visitor = lab.server.spawn('bash', ['-c', script])
  let text = ''
  visitor.stdout.on('data', data => {
    text += data
  })
  await wait(1500)
  const { subflows: all } = await call('stats')
  await once(visitor, 'close')
  const lines = text.split('\n').length - 1
  if (row !== undefined) found(row, lines === 20, `${lines} of 20 answers`)
  found(rowJoin, all.length === 2, `${all.length} subflows`)
}

interface Device {
  ask(line: string): Promise<IteratorResult<string>>
  end(): void
}

/** A session looks once which path manager there is. */
async function startDevice(pathManager: 'userspace' | 'kernel'): Promise<Device> {
  await setPathManager(pathManager)
  const { stdin, stdout, stderr } = lab.ue.spawn(process.execPath, [program('device')])
  stderr.pipe(process.stderr)
  const answers = createInterface(stdout)[Symbol.asyncIterator]()
  await answers.next()
  return {
    ask(line) {
      stdin.write(`${line}\n`)
      return answers.next()
    },
    end: () => stdin.end(),
  }
}

async function attempt(row: RowName, trial: () => Promise<void>): Promise<void> {
  await trial().catch(failed(row))
}

async function call<Call extends keyof Calls>(
  name: Call,
  ...args: Parameters<Calls[Call]>
): Promise<Awaited<ReturnType<Calls[Call]>>> {
  const { value: line, done } = await device.ask(JSON.stringify({ call: name, args }))
  if (done) throw new Error('the device ended early')
  const { value, error } = JSON.parse(line)
  if (error !== undefined) throw new Error(error)
  return value
}

async function serverGap(name: string): Promise<{ gap: number; bytes: number }> {
  server.stdin.write(`${name}\n`)
  const { value } = await serverLines.next()
  return JSON.parse(value!)
}

async function uplink(): Promise<{ wifi: number; cell: number }> {
  const [wifi, cell] = await Promise.all(['wifi', 'cell'].map(name => lab.link(name).stats()))
  return { wifi: wifi!.uplink.bytes, cell: cell!.uplink.bytes }
}

async function until(condition: () => Promise<boolean>, limit: number): Promise<void> {
  const end = performance.now() + limit
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`it did not happen within ${limit} ms`)
    await wait(20)
  }
}

/** The sysctl's two names: `path_manager` from Linux 6.15 on, `pm_type` before; neither before 5.19. */
async function setPathManager(pathManager: 'userspace' | 'kernel'): Promise<void> {
  const [type, name] = pathManager === 'kernel' ? [0, 'kernel'] : [1, 'userspace']
  const has = (sysctl: string) => spawnSync('test', ['-e', `/proc/sys/net/mptcp/${sysctl}`]).status === 0
  if (has('path_manager')) await lab.ue.sysctl('net.mptcp.path_manager', name)
  else if (has('pm_type')) await lab.ue.sysctl('net.mptcp.pm_type', type)
}

function option(packet: Packet): Uint8Array | undefined {
  return packet.tcp?.options.find(({ kind }) => kind === 30)?.value
}

function isJoin({ tcp }: Packet): boolean {
  return tcp?.mptcp?.subtype === MPTCP_SUBTYPE.MP_JOIN && tcp.flags.syn && !tcp.flags.ack
}

/** MP_PRIO comes behind the DSS option of the same packet, and is not the packet's first MPTCP option. */
function hasPriority({ tcp }: Packet): boolean {
  return tcp?.options.some(({ kind, value }) => kind === 30 && value[0]! >> 4 === MPTCP_SUBTYPE.MP_PRIO) ?? false
}

/** Whether the packet has the address of this access. */
function isOf({ source }: Packet, name: string): boolean {
  return Object.values(lab.ue.addresses[name]!).includes(source)
}

function rule(steeringMode: object): RulesInput {
  return [{ precedence: 255, trafficDescriptor: { matchAll: true }, steeringMode }] as RulesInput
}

function activeStandby(active: string, standby: string): RulesInput {
  return rule({ steerModeValue: 'ACTIVE_STANDBY', active, standby })
}
