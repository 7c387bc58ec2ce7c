/** `atsss decode`: prints messages as trees of fields. */
import { existsSync } from 'node:fs'
import { type Capture, isCapture, readCapture } from '../lab/capture.js'
import { didYouMean, type OptionTable, optionLines, parseArguments, UsageError } from './arguments.js'
import { bytesOf } from './decode/input.js'
import { type Decoded, decodeAs, KINDS, type KindName } from './decode/kinds.js'
import { connectionsIn, type Message, messagesIn, withTunnelled } from './decode/messages.js'
import { problems, treeLines } from './decode/tree.js'
import { type Colours, coloursFor } from './terminal.js'

const OPTIONS = {
  as: { type: 'string', value: 'KIND', help: 'convert, nas, pcp or atsss', unset: 'what the bytes look like' },
  json: {
    type: 'boolean',
    help: 'print one object: kind, fields (offset, length, name, value), the decoded value, the error',
  },
} as const satisfies OptionTable

export const help = `Usage: atsss decode [options] [FILE | HEX | BASE64 | -]

Decodes a Convert message (RFC 8803), an ATSSS container (TS 24.193), a NAS message with a container (PDU SESSION
ESTABLISHMENT ACCEPT, MODIFICATION COMMAND, also in a DL NAS TRANSPORT), a PCP datagram (RFC 6887), or the Convert and
PCP messages in a capture (pcap, pcapng). Each line shows the offset in bytes, the octets, and what they mean. Broken
input is shown as far as it can be read, then where it is broken, and why. In captures, messages are also found behind
VLAN tags, PPPoE, MPLS, IPv6 extension headers and in tunnels (GTP-U, GRE, VXLAN, IP in IP); other packets are counted.

${optionLines(OPTIONS)}

Without an argument, or with '-', it reads standard input. Text may be hexadecimal with any separators, the output of
xxd, hexdump -C or tcpdump -x, or base64.

Exit status: 0 decoded, 1 broken or nothing found, 2 wrong command line or unrecognised format.

Examples:
  atsss decode 01022263 01010000
  atsss decode --as atsss --json AQAKAAgJAAEBBAEEAQ==
  tcpdump -i wlan0 -w - 'tcp port 5124' -c 20 | atsss decode
  atsss decode accept.nas
`

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, OPTIONS, true)
  const kind = kindNamed(values.as)
  const bytes = await bytesOf(positionals)
  if (bytes.length === 0)
    throw new UsageError('the input is empty: give a FILE, HEX or BASE64, or bytes on standard input')
  if (kind === undefined && isCapture(bytes)) return printCapture(readCapture(bytes), values.json ?? false)
  const decoded = decodedWords(bytes, kind, positionals)
  if (values.json) print({ length: bytes.length, ...decoded })
  else write(asText(decoded, bytes, coloursFor(process.stdout)))
  return decoded.error === undefined ? 0 : 1
}

/** As `decodeAs`. Almost every word is base64 of something, so a word that makes no message may be a file's name, misspelled. */
function decodedWords(bytes: Uint8Array, kind: KindName | undefined, [word, ...more]: string[]): Decoded {
  try {
    return decodeAs(bytes, kind)
  } catch (error) {
    if (
      !(error instanceof UsageError) ||
      word === undefined ||
      word === '-' ||
      more.length > 0 ||
      /^[0-9a-f]+$/i.test(word) ||
      existsSync(word)
    )
      throw error
    throw new UsageError(`${error.message}; there is no file '${word}'`)
  }
}

function kindNamed(name: string | undefined): KindName | undefined {
  if (name === undefined || Object.hasOwn(KINDS, name)) return name as KindName | undefined
  const names = Object.keys(KINDS)
  throw new UsageError(`--as must be one of ${names.join(', ')}; it is '${name}'${didYouMean(name, names)}`)
}

function asText({ title, fields, error }: Decoded, bytes: Uint8Array, colours: Colours): string[] {
  const lines = [colours.strong(`${title}, ${bytes.length} bytes`), ...treeLines(fields, bytes, colours)]
  if (error !== undefined) return [...lines, colours.bad(`Broken at byte ${error.offset}: ${error.message}`)]
  const wrong = problems(fields).length
  return wrong === 0 ? lines : [...lines, colours.warning(`Not all of it could be understood: ${wrong} problems`)]
}

function printCapture(capture: Capture, json: boolean): number {
  const { count, broken, unknown, shortened } = capture
  const packets = withTunnelled(capture.packets, unknown)
  const messages = messagesIn(packets).map(message => ({
    ...message,
    ...decodeAs(message.bytes, message.kind),
  }))
  if (json)
    print({
      kind: 'capture',
      packets: count,
      messages: messages.map(({ bytes, ...about }) => ({ ...about, length: bytes.length })),
      notUnderstood: Object.fromEntries(unknown),
      shortened,
      broken,
    })
  else {
    const colours = coloursFor(process.stdout)
    const start = packets[0]?.packet.time ?? 0
    for (const message of messages) write([heading(message, start), ...asText(message, message.bytes, colours), ''])
    write([`${count} packets, ${messages.length} messages in ${connectionsIn(packets)} connections`])
    if (unknown.size > 0) {
      const kinds = [...unknown].map(([what, packets]) => `${what} (${packets})`)
      write([colours.warning(`Not understood, so messages in them are not found: ${kinds.join(', ')}`)])
    }
    if (shortened > 0)
      write([
        colours.warning(`Of ${shortened} packets only the beginning was captured: capture them whole (tcpdump -s 0)`),
      ])
    if (broken !== undefined) write([colours.bad(`The file is broken: ${broken}`)])
  }
  return messages.length === 0 || broken !== undefined || messages.some(({ error }) => error !== undefined) ? 1 : 0
}

function heading({ number, time, from, to, marks }: Message, start: number): string {
  return `Packet ${number}, ${(time - start).toFixed(1)} ms: ${from} → ${to}, ${marks}`
}

/** Bytes in hexadecimal. */
function print(value: object): void {
  const text = JSON.stringify(
    value,
    (_key, item) => (item instanceof Uint8Array ? Buffer.from(item).toString('hex') : item),
    2,
  )
  process.stdout.write(`${text}\n`)
}

function write(lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`)
}
