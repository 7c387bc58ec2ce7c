/** The options of `atsss converter` about incoming connections, and what it says of them. */
import type { Converter, IncomingInfo, Mapping, PcpOptions, Target } from '../converter/index.js'
import { wholeNumber } from './arguments.js'

export const PCP_HELP = `
  --pcp                      let clients ask to be reached from outside (PCP, RFC 6887; RFC 8803 §5.2)
  --pcp-listen ADDRESS[:PORT] where to hear them; may be repeated         the addresses of --listen, port 5351
  --pcp-external ADDRESS     under which they are reached; may be repeated the addresses of --listen
  --pcp-ports FROM-TO        the ports to give away; may be repeated      20000-20255
  --pcp-quota N              mappings of one client                       16
  --pcp-min-lifetime S                                                    120
  --pcp-max-lifetime S                                                    86400
  --pcp-max-filters N        of one mapping                               16
  --pcp-reuse-delay S        before a port is another client's            120
  --pcp-join-port N          where clients join their second access; 0: nowhere  5352
  --pcp-third-party PREFIX   who may ask for others; may be repeated      nobody
  --no-pcp-announce          do not tell clients of lost mappings
  --pcp-state FILE           keeps the mappings over restarts
`

export const PCP_ARGUMENTS = {
  pcp: { type: 'boolean' },
  'pcp-listen': { type: 'string', multiple: true },
  'pcp-external': { type: 'string', multiple: true },
  'pcp-ports': { type: 'string', multiple: true },
  'pcp-quota': { type: 'string' },
  'pcp-min-lifetime': { type: 'string' },
  'pcp-max-lifetime': { type: 'string' },
  'pcp-max-filters': { type: 'string' },
  'pcp-reuse-delay': { type: 'string' },
  'pcp-join-port': { type: 'string' },
  'pcp-third-party': { type: 'string', multiple: true },
  'no-pcp-announce': { type: 'boolean' },
  'pcp-state': { type: 'string' },
} as const

const LISTS = {
  'pcp-listen': 'listen',
  'pcp-external': 'external',
  'pcp-ports': 'ports',
  'pcp-third-party': 'thirdParty',
} as const

const NUMBERS = {
  'pcp-quota': 'quota',
  'pcp-min-lifetime': 'minLifetime',
  'pcp-max-lifetime': 'maxLifetime',
  'pcp-max-filters': 'maxFilters',
  'pcp-reuse-delay': 'reuseDelay',
  'pcp-join-port': 'joinPort',
} as const

type Values = { [name in keyof typeof PCP_ARGUMENTS]?: string | boolean | string[] | undefined }

/** `undefined` without any of the options: then nobody is reached from outside. */
export function pcpOptions(values: Values): PcpOptions | undefined {
  const given = Object.keys(PCP_ARGUMENTS).filter(name => values[name as keyof Values] !== undefined)
  if (given.length === 0) return undefined
  const options: PcpOptions = {}
  for (const [name, option] of Object.entries(LISTS)) {
    const value = values[name as keyof typeof LISTS]
    if (value !== undefined) options[option] = value as string[]
  }
  for (const [name, option] of Object.entries(NUMBERS)) {
    const value = values[name as keyof typeof NUMBERS]
    if (value !== undefined) options[option] = wholeNumber(name, value as string)
  }
  if (values['no-pcp-announce']) options.announce = false
  if (values['pcp-state'] !== undefined) options.stateFile = values['pcp-state'] as string
  return options
}

/** @param print a sentence, the event's name, and what it is about */
export function reportIncoming(
  converter: Converter,
  place: (place: Target) => string,
  print: (text: string, event: string, about: object) => void,
): void {
  converter.on('mapping', (mapping, change) => {
    const clients = mapping.paths.map(({ address }) => place({ address, port: mapping.internalPort }))
    const text = `${place(mapping.external)} mapping ${change}${clients.length > 0 ? ` for ${clients.join(', ')}` : ''}`
    print(text, 'mapping', { change, ...shown(mapping) })
  })
  converter.on('incoming', info => {
    const how = `${info.protocol}${info.zeroRtt ? ', 0-RTT' : ''}`
    const after = `${info.times.answered?.toFixed(1)} ms`
    print(`${line(info, place)} to ${place(info.client!)} established after ${after} (${how})`, 'incoming', info)
  })
  converter.on('incoming-closed', info => {
    const { fromRemote, fromClient } = info.bytes
    const how = info.failure ? `ended: ${info.failure}` : `closed: ${fromRemote} in, ${fromClient} out`
    print(`${line(info, place)} ${how}`, 'incoming-closed', info)
  })
}

/** Without the nonce, which is the client's secret. */
function shown({ external, internalPort, filters, paths }: Mapping): object {
  return { external, internalPort, filters, clients: paths.map(({ address }) => address) }
}

function line({ id, remote, external }: IncomingInfo, place: (place: Target) => string): string {
  return `<${id} ${place(remote)} at ${place(external)}`
}
