/**
 * Draws README's picture, docs/steering.svg, from what is measured now: the demo's live stream from the device, on one connection,
 * while Wi-Fi is cut and goes silent. Needs root, and a quiet machine. `npm run build` before.
 *
 *   npx tsx scripts/readme-picture.ts
 */
import { writeFileSync } from 'node:fs'
import { openLab } from 'atsss/lab'
import { CONVERTER_PORT, command, program, SERVER_PORT, start } from '../examples/demo/hosts.js'
import { Meter } from '../examples/demo/meter.js'
import { picture } from '../examples/demo/picture.js'
import { openSession } from '../examples/demo/steering.js'
import { showStream } from '../examples/demo/stream.js'

const HEADING = 'One connection, two accesses'

await using lab = await openLab({
  accesses: [
    { name: 'wifi', access: 'non-3gpp', link: { rateMbps: 50, delayMs: 10 } },
    { name: 'cell', access: '3gpp', link: { rateMbps: 20, delayMs: 30 } },
  ],
})
await start(lab, 'server', [...program('server.ts'), String(SERVER_PORT)])
await start(lab, 'converter', command('converter', '--json', '--listen', `0.0.0.0:${CONVERTER_PORT}`))
const session = await openSession(lab)
const meter = new Meter(lab)
const panel = await showStream(lab, session, meter, 'up')
await meter.stop()
writeFileSync('docs/steering.svg', picture([panel], HEADING))
