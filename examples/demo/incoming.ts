/**
 * The demo's last part: a host in the data network fetches a page from the device, through the converter. Wi-Fi is cut in the
 * middle.
 */
import type { Lab } from 'atsss/lab'
import { command, program, start } from './hosts.js'
import type { Service, ServiceStart, Visit } from './service.js'
import type { Logged } from './session.js'
import { megabytes, say, seconds, verdict } from './text.js'
import type { Fetched } from './visitor.js'

const PORT = 8080
/** The port of a second converter, which accepts connections for its clients. */
const CONVERTER_PORT = 5125
const CUT_AFTER = 2_000_000

export async function showIncoming(lab: Lab): Promise<void> {
  const converter = `${lab.converterAddress.v4}:${CONVERTER_PORT}`
  // The device must accept SYNs that carry the Connect TLV, and the converter must accept joins.
  await lab.ue.sysctl('net.ipv4.tcp_fastopen', 3)
  await lab.converter.run('ip', ['mptcp', 'limits', 'set', 'subflows', '8'])
  await lab.link('wifi').set({ delayMs: 10 })
  await start(
    lab,
    'converter',
    command('converter', '--json', '--listen', converter, '--pcp', '--pcp-ports', `${PORT}`),
  )

  const accesses = { '3gpp': lab.accesses.cell!.interface, 'non-3gpp': lab.accesses.wifi!.interface }
  const task: ServiceStart = { port: PORT, session: { accesses, converters: converter, rules: 'handover' } }
  const service = await start(lab, 'ue', [...program('service.ts'), JSON.stringify(task)])
  const { external, sha256, bytes } = service.ready as unknown as Service
  const log: Logged[] = []
  service.onLine = line => log.push(line as unknown as Logged)

  say(`The other way round: a host in the data network fetches ${megabytes(bytes)} from the device.`)
  const url = `http://${external.address}:${external.port}/large`
  say(`  The device has asked the converter for a mapping (PCP) and can be reached at ${url}`)
  const visit = service.answer<Visit>('visit')
  const visitor = await start(lab, 'server', [...program('visitor.ts'), url, String(CUT_AFTER)])
  const part = visitor.answer<true>('part')
  const fetched = visitor.answer<Fetched>('fetched')
  const { method, path, remoteAddress, remotePort } = await visit
  say(`  The device's log: ${method} ${path} from ${remoteAddress} port ${remotePort}`)
  await part
  const cutAt = Date.now()
  await lab.link('wifi').set({ carrier: false })
  const outcome = await fetched
  say(`  After ${megabytes(CUT_AFTER)} Wi-Fi loses its carrier:`)
  for (const { at, text } of log.filter(({ at }) => at >= cutAt)) say(`    ← ${text}, after ${at - cutAt} ms`)
  const real = remoteAddress === lab.serverAddress.v4 && remotePort === outcome.localPort
  const intact = outcome.sha256 === sha256 && outcome.bytes === bytes
  say(`  ${megabytes(outcome.bytes)} have arrived in ${seconds(outcome.took)}, intact: ${verdict(intact)}.`)
  say(
    `  The longest gap was ${outcome.longestGap.toFixed(0)} ms; the device knew the host's own address: ${verdict(real)}.`,
  )
}
