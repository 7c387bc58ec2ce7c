/**
 * The demo's first part: one connection through the converter. Shows what its SYN carried, fetches 20 MB by http.get, and
 * measures the time that the converter costs.
 */
import { join } from 'node:path'
import { type Lab, MPTCP_SUBTYPE, type Packet } from 'atsss/lab'
import { decode, type Tlv } from 'atsss/wire'
import { CONVERTER_PORT, program, SERVER_PORT } from './hosts.js'
import { megabytes, say, seconds, verdict } from './text.js'
import type { Outcome, Task } from './ue.js'

const ROUND_TRIPS = 11

/** @param sha256 the hash of the large file on the server */
export async function showConnection(lab: Lab, sha256: string, folder: string): Promise<void> {
  // Here the kernel's own path manager adds the second access; steering it by rules needs a session.
  const cell = lab.accesses.cell!
  await lab.ue.run('ip', ['mptcp', 'endpoint', 'add', cell.address.v4, 'dev', cell.interface, 'subflow'])

  const host = lab.serverAddress.v4
  const port = SERVER_PORT
  const converter = `${lab.converterAddress.v4}:${CONVERTER_PORT}`
  const capture = await lab.link('wifi').capture(join(folder, 'wifi.pcap'))
  const [first] = await fetchAs(lab, { host, port, path: '/', converter, times: 1 })
  const packets = await capture.packets()
  await capture.stop()
  showSyn(packets, first!)

  const before = await received(lab)
  const [large] = await fetchAs(lab, { host, port, path: '/large', converter, times: 1 })
  const after = await received(lab)
  showTransfer(large!, sha256, after.wifi - before.wifi, after.cell - before.cell)

  const direct = await fetchAs(lab, { host, port, path: '/', times: ROUND_TRIPS })
  const through = await fetchAs(lab, { host, port, path: '/', converter, times: ROUND_TRIPS })
  showCost(median(direct.map(outcome => outcome.firstByte)), median(through.map(outcome => outcome.firstByte)))
  await lab.ue.run('ip', ['mptcp', 'endpoint', 'flush'])
}

/** Prints the packets that the link carried, in order, up to the first byte of the response: they are the proof. */
function showSyn(packets: Packet[], { mptcp, counters }: Outcome): void {
  const ours = packets.filter(
    packet => packet.tcp && [packet.tcp.sourcePort, packet.tcp.destinationPort].includes(CONVERTER_PORT),
  )
  const syn = ours.find(packet => packet.tcp!.flags.syn && !packet.tcp!.flags.ack)
  if (!syn?.tcp) throw new Error('The capture has no SYN to the converter')
  say('On the Wi-Fi link, from the SYN to the response:')
  for (const packet of ours) {
    const tcp = packet.tcp!
    if (!tcp.flags.syn && tcp.payload.length === 0) continue
    const up = tcp.destinationPort === CONVERTER_PORT
    const time = (packet.time - syn.time).toFixed(1).padStart(6)
    say(`  ${time} ms  ${up ? 'device →' : '       ←'}  ${describe(packet)}`)
    if (!up && Buffer.from(tcp.payload).includes('HTTP/1.1')) break
  }
  const capable = syn.tcp.mptcp?.subtype === MPTCP_SUBTYPE.MP_CAPABLE
  const connect = decode(syn.tcp.payload)?.tlvs.find(tlv => tlv.type === 'connect')
  const facts = [
    `The SYN carried MP_CAPABLE: ${verdict(capable)}; the Connect TLV: ${verdict(connect !== undefined)}; the converter acknowledged it: ${verdict(mptcp?.synDataAccepted === true)}.`,
    `The connection is ${mptcp?.protocol?.toUpperCase()}, and the application sees the server as its peer.`,
    `The device's kernel counts ${counters.MPCapableSYNTX ?? 0} MPTCP SYN sent, ${counters.TCPFastOpenActive ?? 0} with data that was acknowledged, ${counters.MPCapableFallbackSYNACK ?? 0} fallback to TCP.`,
  ]
  say(`${facts.map(fact => `  ${fact}`).join('\n')}\n`)
}

function describe({ tcp }: Packet): string {
  const { flags, payload, mptcp } = tcp!
  const name = flags.syn ? (flags.ack ? 'SYN+ACK' : 'SYN') : 'data'
  const capable = flags.syn && mptcp?.subtype === MPTCP_SUBTYPE.MP_CAPABLE ? ' MP_CAPABLE' : ''
  return `${name}${capable}${payload.length > 0 ? `, ${content(payload)}` : ''}`
}

function content(payload: Uint8Array): string {
  const text = Buffer.from(payload).toString('latin1')
  if (text.startsWith('GET') || text.startsWith('HTTP')) return text.slice(0, text.indexOf('\r\n'))
  try {
    const message = decode(payload)
    if (message) return `Convert [${message.tlvs.map(shown).join(', ')}]`
  } catch {
    // This is not the beginning of the stream.
  }
  return `${payload.length} bytes`
}

function shown(tlv: Tlv): string {
  return tlv.type === 'connect' ? `Connect ${tlv.address}:${tlv.port}` : tlv.type
}

function showTransfer(outcome: Outcome, sha256: string, wifi: number, cell: number): void {
  const intact = outcome.sha256 === sha256
  const rate = (outcome.bytes * 8) / outcome.lastByte / 1000
  say(`20 MB by http.get: ${seconds(outcome.lastByte)}, ${rate.toFixed(1)} Mbit/s, intact: ${verdict(intact)}.`)
  say(`  over Wi-Fi ${megabytes(wifi)}, over cellular ${megabytes(cell)} (headers included).\n`)
}

function showCost(direct: number, through: number): void {
  say(`Time to the first byte of a response, median of ${ROUND_TRIPS}:`)
  say(`  net.connect, directly           ${direct.toFixed(1)} ms`)
  say(`  atsss, through the converter    ${through.toFixed(1)} ms   (${(through / direct).toFixed(2)} of direct)`)
  say('  A proxy that spends a round trip of its own would take 1.5 times as long or more.')
}

/** Bytes that the device has received, by access. */
async function received(lab: Lab): Promise<Record<'wifi' | 'cell', number>> {
  const [wifi, cell] = await Promise.all(['wifi', 'cell'].map(name => lab.link(name).stats()))
  return { wifi: wifi!.downlink.bytes, cell: cell!.downlink.bytes }
}

async function fetchAs(lab: Lab, task: Task): Promise<Outcome[]> {
  const result = await lab.ue.run(process.execPath, [...program('ue.ts'), JSON.stringify(task)], {
    timeoutMs: 60_000,
  })
  if (result.code !== 0) throw new Error(`The device's application failed: ${result.stderr}`)
  return result.stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}
