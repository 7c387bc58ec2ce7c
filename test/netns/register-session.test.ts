/** `atsss/register` with accesses: the preload's own session steers an unmodified application, and does not outlive it. */
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { Program } from '../support/convert-lab.js'
import { all, mptcp, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { SessionLab } from '../support/session-lab.js'
import { traffic } from '../support/ue.js'
import { ECHO } from './programs/server.js'

const labTest = requires('MPTCP in network namespaces', all(root, netns, mptcp))
const built = (path: string) => fileURLToPath(new URL(`../../dist/${path}`, import.meta.url))
const COMMANDS = {
  'node --import atsss/register': ['--import', built('preload/register.js')],
  'atsss run -- node': [built('cli/main.js'), 'run', '--', process.execPath],
}

/** Knows nothing of us but `mptcp`. Ends its connection after the second echo, and nothing else: no process.exit(). */
const APPLICATION = `
  const say = line => console.log(JSON.stringify(line))
  const [port, host] = process.argv.slice(2)
  const socket = require('node:net').connect(port, host, () => {
    const { protocol, interface: device, converter } = socket.mptcp
    say({ event: 'connected', protocol, device, converter: converter?.name })
    socket.write('one')
  })
  let echoed = ''
  socket.setEncoding('utf8').on('data', text => {
    echoed += text
    if (echoed === 'one') {
      say({ event: 'half' })
      process.stdin.once('data', () => { socket.write('two'); process.stdin.destroy() })
    }
    if (echoed === 'onetwo') { say({ event: 'done' }); socket.end() }
  })
`

labTest.describe('an unmodified application, across a handover', () => {
  let rig: SessionLab
  const folder = mkdtempSync(join(tmpdir(), 'atsss-register-'))
  const application = join(folder, 'app.cjs')
  beforeAll(async () => {
    writeFileSync(application, APPLICATION)
    rig = await SessionLab.open()
  })
  afterEach(() => rig?.mend())
  afterAll(async () => {
    rmSync(folder, { recursive: true })
    await rig?.close()
  })

  for (const [name, command] of Object.entries(COMMANDS))
    labTest(
      `${name}: steered, watched, and over when the application is`,
      async () => {
        const bytes = traffic(rig.lab)
        const watched = join(folder, `${Object.keys(COMMANDS).indexOf(name)}.sock`)
        const accesses = { '3gpp': 'cell', 'non-3gpp': 'wifi' }
        const config = { accesses, converters: rig.convert.at(rig.port), rules: 'handover', watch: watched }
        const env = { ...process.env, ATSSS_CONFIG: JSON.stringify(config) }
        const place = [String(ECHO), rig.lab.serverAddress.v4]
        const app = new Program(rig.lab.ue.spawn(process.execPath, [...command, application, ...place], { env }))
        expect(await app.event('connected')).toMatchObject({
          ...{ protocol: 'mptcp', device: 'wifi', converter: rig.convert.at(rig.port) },
        })
        await app.event('half')

        const watching = [built('cli/main.js'), 'watch', '--json', '--every', '50', watched]
        const watcher = new Program(rig.lab.ue.spawn(process.execPath, watching))
        type Seen = { type: string; connections?: unknown[]; accesses?: { 'non-3gpp': { available?: boolean } } }
        await watcher.line<Seen>(({ type, connections }) => type === 'snapshot' && connections?.length === 1)
        await rig.lab.link('wifi').set({ carrier: false })
        await watcher.line<Seen>(
          ({ type, accesses }) => type === 'snapshot' && accesses?.['non-3gpp'].available === false,
        )

        await bytes()
        app.child.stdin.write('on\n')
        await app.event('done')
        await app.ended() // by itself: neither the steering nor the one who watches keeps it
        const after = await bytes()
        expect(after.cell!.uplink).toBeGreaterThan(0)
        expect(after.wifi!.uplink).toBe(0)
        expect(app.complaints).toBe('')
        if (watcher.child.exitCode === null) await once(watcher.child, 'close')
        expect(watcher.child.exitCode).toBe(1) // the session has ended
      },
      30_000,
    )
})
