/**
 * `npm run demo`: a device with Wi-Fi and cellular, a Transport Converter and a web server, all in network namespaces of
 * this machine. First it shows one connection, packet by packet; then a session, whose connections follow ATSSS rules, with
 * downloads and uploads under each steering mode and live streams while rules and accesses change; then a connection from the
 * network to the device. Needs root.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isSupported } from 'atsss'
import { type Lab, openLab } from 'atsss/lab'
import { showConnection } from './demo/connection.js'
import { CONVERTER_PORT, command, program, SERVER_PORT, start } from './demo/hosts.js'
import { showIncoming } from './demo/incoming.js'
import { Meter } from './demo/meter.js'
import { showModes } from './demo/modes.js'
import { type Panel, picture } from './demo/picture.js'
import { openSession } from './demo/steering.js'
import { showStream } from './demo/stream.js'
import { say } from './demo/text.js'

const PICTURE = 'demo-report/steering.svg'

try {
  await demo()
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}

async function demo(): Promise<void> {
  if (process.getuid?.() !== 0)
    throw new Error('The demo makes network namespaces and needs root for that: sudo npm run demo')
  const { supported, reason } = isSupported()
  if (!supported) throw new Error(reason)
  const folder = mkdtempSync(join(tmpdir(), 'atsss-demo-'))
  try {
    await using lab = await openLab({
      accesses: [
        { name: 'wifi', access: 'non-3gpp', link: { rateMbps: 50, delayMs: 10 } },
        { name: 'cell', access: '3gpp', link: { rateMbps: 20, delayMs: 30 } },
      ],
    })
    say('A device with two accesses: Wi-Fi (50 Mbit/s, 20 ms RTT) and cellular (20 Mbit/s, 60 ms RTT).')
    say('Behind both: a Transport Converter, and behind that a web server.\n')
    const { ready } = await start(lab, 'server', [...program('server.ts'), String(SERVER_PORT)])
    await start(lab, 'converter', command('converter', '--json', '--listen', `0.0.0.0:${CONVERTER_PORT}`))
    await showConnection(lab, ready.sha256 as string, folder)
    await showSteering(lab)
    await showIncoming(lab)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function showSteering(lab: Lab): Promise<void> {
  const session = await openSession(lab)
  const meter = new Meter(lab)
  const panels: Panel[] = []
  for (const direction of ['down', 'up'] as const)
    panels.push(await showModes(session, meter, direction), await showStream(lab, session, meter, direction))
  await meter.stop()
  mkdirSync('demo-report', { recursive: true })
  writeFileSync(PICTURE, picture(panels))
  say(`\nThroughput of each access over time: ${PICTURE}\n`)
}
