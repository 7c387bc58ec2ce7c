/** `atsss connect`: connects standard input and output to a destination. */

import { once } from 'node:events'
import { isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { MaPduSession, MptcpSocket } from '../index.js'
import { hostAndPort, parseDestination } from '../input/addresses.js'
import { BOTH } from '../policy/steering/accesses.js'
import { type OptionTable, optionLines, parseArguments } from './arguments.js'
import { readNamedFile } from './named-file.js'
import { progress } from './terminal.js'
import { openVia, VIA_OPTIONS, viaOptions } from './via.js'

const OPTIONS = {
  ...VIA_OPTIONS,
  tls: { type: 'boolean', help: 'use TLS, end to end, and check the certificate' },
  servername: {
    type: 'string',
    value: 'NAME',
    help: 'the name to send and to check the certificate for',
    unset: 'HOST',
  },
  ca: { type: 'string', value: 'FILE', help: 'the authorities to trust, in PEM', unset: "Node's" },
  insecure: { type: 'boolean', help: 'accept any certificate: for tests' },
  'keep-open': {
    type: 'boolean',
    help: 'keep the sending side open at the end of standard input',
  },
  verbose: {
    type: 'boolean',
    short: 'v',
    help: 'on standard error, print what the connection got and what happens to it',
  },
} as const satisfies OptionTable

export const help = `Usage: atsss connect [options] HOST PORT

Sends standard input to a server and prints what the server sends, over MPTCP, through converters, steered by rules.
The end of standard input closes the sending side only; the command ends when the server has closed its side too.

${optionLines(OPTIONS)}

Exit status: 0 both sides were closed, 1 the connection failed, 2 wrong command line.

Examples:
  printf 'GET / HTTP/1.0\\r\\n\\r\\n' | atsss connect --converter 192.0.2.1:5124 -v example.com 80
  atsss connect --3gpp wwan0 --non-3gpp wlan0 --converter 192.0.2.1:5124 --tls example.com 443
`

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, OPTIONS, true)
  const { host, port } = parseDestination(positionals)
  const via = openVia(viaOptions(values))
  let isOver = false
  const say = (line: string) => {
    if (values.verbose && !isOver) process.stderr.write(`${line}\n`)
  }
  if (via.session) reportEvents(via.session, say)
  const busy = progress()
  busy.say(`connecting to ${hostAndPort(host, port)}`)
  const started = performance.now()
  const socket = via.connect({ host, port, allowHalfOpen: true })
  socket.once('connect', () => {
    busy.end()
    say(`connected after ${(performance.now() - started).toFixed(0)} ms: ${outcome(socket)}`)
  })
  try {
    const stream = values.tls ? await secured(socket, host, values, say) : socket
    await relay(stream, values['keep-open'] ?? false)
    say(`ended: ${socket.bytesWritten} bytes sent, ${socket.bytesRead} received`)
    isOver = true // what the end of the session does to the subflows is no news
    return 0
  } catch (error) {
    if (via.session) blameAccesses(error as Error, via.session)
    throw error
  } finally {
    busy.end()
    socket.destroy()
    via.close()
    process.stdin.destroy()
  }
}

/** While no access is available, the server and the converter are not to blame. */
function blameAccesses(error: Error, session: MaPduSession): void {
  const { accesses } = session.stats()
  if (BOTH.some(access => accesses[access].available)) return
  const why = BOTH.map(access => `${access}: ${accesses[access].why}`).join('; ')
  error.message = `no access is available (${why}): ${error.message}`
}

/** Copies in both directions, each until its end. */
async function relay(stream: Socket, keepOpen: boolean): Promise<void> {
  process.stdin.on('error', () => stream.end())
  process.stdin.pipe(stream, { end: !keepOpen })
  if (keepOpen) stream.once('end', () => stream.end())
  stream.pipe(process.stdout, { end: false })
  await Promise.all([once(stream, 'end'), once(stream, 'finish')])
}

interface TlsValues {
  servername?: string | undefined
  ca?: string | undefined
  insecure?: boolean | undefined
}

async function secured(
  socket: MptcpSocket,
  host: string,
  values: TlsValues,
  say: (line: string) => void,
): Promise<Socket> {
  const servername = values.servername ?? (isIP(host) ? '' : host)
  const stream = connectTls({
    socket,
    host,
    servername,
    rejectUnauthorized: !values.insecure,
    ...(values.ca === undefined ? {} : { ca: readNamedFile('--ca', values.ca) }),
  })
  socket.once('error', error => stream.destroy(error))
  await once(stream, 'secureConnect')
  say(
    `${stream.getProtocol()}, ${stream.getCipher().standardName}, certificate of ${stream.getPeerCertificate().subject?.CN ?? '?'}`,
  )
  return stream
}

/** `socket.mptcp` in words. */
function outcome({ mptcp, remoteAddress, remotePort }: MptcpSocket): string {
  const { protocol, fallback, converter, converterError, convert, interface: device, attempts } = mptcp
  const way = converter
    ? `through the converter ${converter.name}, ${convert === '0rtt' ? '0-RTT' : '1-RTT'}`
    : `directly${converterError ? ` (${converterError.message})` : ''}`
  return [
    `${protocol === 'mptcp' ? 'MPTCP' : `TCP (${fallback ?? 'as asked'})`} to ${remoteAddress} port ${remotePort}`,
    way,
    ...(device === undefined ? [] : [`on ${device}`]),
    ...(attempts > 1 ? [`${attempts} attempts`] : []),
  ].join(', ')
}

function reportEvents(session: MaPduSession, say: (line: string) => void): void {
  session.on('degraded', ({ message }) => say(`degraded: ${message}`))
  session.on('access', ({ access, available, why }) =>
    say(`${access} is ${available ? 'available' : 'unavailable'}: ${why}`),
  )
  session.on('action', ({ action, error }) =>
    say(`${action.why}${error === undefined ? '' : `; the kernel refused: ${error}`}`),
  )
  session.on('problem', ({ message }) => say(message))
}
