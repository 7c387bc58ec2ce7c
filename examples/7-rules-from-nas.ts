/**
 * Takes rules and converters from what the 5G core sends: the ATSSS container in a PDU SESSION ESTABLISHMENT ACCEPT, which the modem
 * hands over (TS 24.501, TS 24.193). A later MODIFICATION COMMAND is passed to `session.update()` in the same way.
 *
 *   npx tsx examples/7-rules-from-nas.ts <cellular> <wifi> <file with the message in hexadecimal>
 *   npx tsx examples/7-rules-from-nas.ts wwan0 wlan0 examples/session-accept.hex
 */
import { readFileSync } from 'node:fs'
import { MaPduSession } from 'atsss'
import { decodeContainer, decodeSessionMessage } from 'atsss/wire'

const [cellular = 'wwan0', wifi = 'wlan0', file = 'examples/session-accept.hex'] = process.argv.slice(2)

const message = Buffer.from(readFileSync(file, 'utf8').replace(/#.*|\s/g, ''), 'hex')
const { type, pduSessionId, atsssContainer } = decodeSessionMessage(message)
if (!atsssContainer) throw new Error(`no ATSSS container in this ${type}: this is not a multi-access session`)

const converters: string[] = []
for (const parameter of decodeContainer(atsssContainer).parameters)
  if (parameter.type === 'network-steering')
    for (const { address, port } of parameter.proxies) {
      if (address.ipv4) converters.push(`${address.ipv4}:${port}`)
      if (address.ipv6) converters.push(`[${address.ipv6}]:${port}`)
    }
console.log(`${type} of PDU session ${pduSessionId}; converters: ${converters.join(', ') || 'none'}`)

const session = new MaPduSession({ accesses: { '3gpp': cellular, 'non-3gpp': wifi }, converters, rules: [] })
session.on('problem', ({ message }) => console.error(message))
for (const { change, rule } of session.update(message).changes) console.log(change, rule)

for (const host of ['video.example', 'anything.example']) console.log(`${host}: ${session.explain(host, 443).why}`)
session.close()
