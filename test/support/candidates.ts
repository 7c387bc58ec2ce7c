/** Values for tests of the policy: endpoints, converters, ways, what converters say. */
import { isIP } from 'node:net'
import type { Candidate, Endpoint, ViaConverter } from '../../lib/policy/connect/candidates.js'
import { type ConvertErrorValue, ERROR_CODES } from '../../lib/wire/convert/error.js'

export function endpoint(address: string, port = 443): Endpoint {
  return { address, family: isIP(address) as 4 | 6, port }
}

export function via(address: string, changes: Partial<ViaConverter> = {}): ViaConverter {
  return {
    name: `${address}:5124`,
    endpoint: endpoint(address, 5124),
    form: '0rtt',
    adaptive: true,
    pipelining: true,
    cookie: undefined,
    info: false,
    tcpOptions: [],
    ...changes,
  }
}

export function way(destination: Endpoint, through?: ViaConverter, changes: Partial<Candidate> = {}): Candidate {
  const fresh = { interface: undefined, unanswered: 0, tcp: false, retriedAfter: [], prospect: 'good' as const }
  return { destination, via: through, ...fresh, ...changes }
}

/** The failure that an Error TLV with this meaning is. */
export function errorTlv(detail: ConvertErrorValue): { kind: 'error-tlv'; code: number; detail: ConvertErrorValue } {
  return { kind: 'error-tlv', code: detail.name === 'unknown' ? detail.code : ERROR_CODES[detail.name], detail }
}
