/** The options of `atsss converter` about incoming connections, and what it prints about them. */
import type { Converter, IncomingInfo, Mapping, PcpOptions, Target } from '../converter/index.js'
import { resolvePcp } from '../converter/options/pcp.js'
import { PCP_SERVER_PORT } from '../wire/pcp/index.js'
import { type OptionTable, wholeNumber } from './arguments.js'

const LIST = { type: 'string', multiple: true } as const

const DEFAULTS = resolvePcp({}, [{ host: '127.0.0.1', port: 0 }])

export const PCP_OPTIONS = {
  pcp: { type: 'boolean', help: 'let clients ask to be reached from outside (PCP, RFC 6887; RFC 8803 §5.2)' },
  'pcp-listen': {
    ...LIST,
    value: 'ADDRESS[:PORT]',
    help: 'where to receive PCP requests',
    unset: `the addresses of --listen, port ${PCP_SERVER_PORT}`,
  },
  'pcp-external': {
    ...LIST,
    value: 'ADDRESS',
    help: 'an address at which clients are reached',
    unset: 'the addresses of --listen',
  },
  'pcp-ports': {
    ...LIST,
    value: 'FROM-TO',
    help: 'the ports to assign',
    unset: DEFAULTS.ports.map(range => range.join('-')).join(', '),
  },
  'pcp-quota': { type: 'string', value: 'N', help: 'mappings of one client, at most', unset: DEFAULTS.quota },
  'pcp-min-lifetime': {
    type: 'string',
    value: 'S',
    help: 'the shortest lifetime of a mapping',
    unset: DEFAULTS.minLifetime,
  },
  'pcp-max-lifetime': { type: 'string', value: 'S', help: 'the longest', unset: DEFAULTS.maxLifetime },
  'pcp-max-filters': {
    type: 'string',
    value: 'N',
    help: 'filters of one mapping, at most',
    unset: DEFAULTS.maxFilters,
  },
  'pcp-reuse-delay': {
    type: 'string',
    value: 'S',
    help: 'how long a port is kept before another client may get it',
    unset: DEFAULTS.reuseDelay,
  },
  'pcp-join-port': {
    type: 'string',
    value: 'N',
    help: 'the port where clients join their second access; 0: nowhere',
    unset: DEFAULTS.joinPort,
  },
  'pcp-third-party': {
    ...LIST,
    value: 'PREFIX',
    help: 'clients that may ask for mappings of other hosts',
    unset: 'none',
  },
  'no-pcp-announce': { type: 'boolean', help: 'do not announce lost mappings to clients' },
  'pcp-state': { type: 'string', value: 'FILE', help: 'keep the mappings over restarts, in this file' },
} as const satisfies OptionTable

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

/** By the option that each becomes. */
export const PCP_FLAGS: Readonly<Record<string, string>> = Object.fromEntries(
  [...Object.entries(LISTS), ...Object.entries(NUMBERS), ['pcp-state', 'stateFile'] as const].map(([flag, of]) => [
    `pcp.${of}`,
    `--${flag}`,
  ]),
)

type Values = { [name in keyof typeof PCP_OPTIONS]?: string | boolean | string[] | undefined }

/** `undefined` if none of the options is given: then clients are not reachable from outside. */
export function pcpOptions(values: Values): PcpOptions | undefined {
  const given = Object.keys(PCP_OPTIONS).filter(name => values[name as keyof Values] !== undefined)
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

/** @param print takes a sentence, the event's name, and its details */
export function reportIncoming(
  converter: Converter,
  place: (place: Target) => string,
  print: (text: string, event: string, about: object) => void,
): void {
  converter.on('mapping', (mapping, change) => {
    const clients = mapping.paths.map(({ address }) => place({ address, port: mapping.internalPort }))
    const text = `${place(mapping.external)} mapping ${change}${clients.length > 0 ? ` for ${clients.join(', ')}` : ''}`
    print(text, 'mapping', { change, ...withoutNonce(mapping) })
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
function withoutNonce({ external, internalPort, filters, paths }: Mapping): object {
  return { external, internalPort, filters, clients: paths.map(({ address }) => address) }
}

function line({ id, remote, external }: IncomingInfo, place: (place: Target) => string): string {
  return `<${id} ${place(remote)} at ${place(external)}`
}
