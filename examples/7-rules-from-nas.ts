/**
 * Takes rules and converters from what the 5G core sends: the ATSSS container in a PDU SESSION ESTABLISHMENT ACCEPT, which the modem
 * hands over (TS 24.501, TS 24.193). A later MODIFICATION COMMAND is passed to `session.update()` in the same way.
 *
 *   npx tsx examples/7-rules-from-nas.ts <cellular> <wifi> <file with the message in hexadecimal>
 *   npx tsx examples/7-rules-from-nas.ts wwan0 wlan0 examples/session-accept.hex
 */
import { readFileSync } from 'node:fs'
import { MaPduSession } from 'atsss'

const [cellular = 'wwan0', wifi = 'wlan0', file = 'examples/session-accept.hex'] = process.argv.slice(2)
const message = Buffer.from(readFileSync(file, 'utf8').replace(/#.*|\s/g, ''), 'hex')

const session = new MaPduSession({
  accesses: { '3gpp': cellular, 'non-3gpp': wifi },
  converters: 'network', // those in the message
  rules: message,
})
session.on('problem', ({ message }) => console.error(message))

const converters = session.network?.converters.map(({ host, port }) => `${host} port ${port}`) ?? []
console.log(`converters: ${converters.join(', ') || 'none'}`)
for (const rule of session.rules) console.log(rule)
for (const host of ['video.example', 'anything.example']) console.log(`${host}: ${session.explain(host, 443).why}`)
session.close()
