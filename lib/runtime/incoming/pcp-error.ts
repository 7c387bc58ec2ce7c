import { AtsssError, type ErrorCode } from '../../errors.js'
import { type PcpResult, resultName } from '../../wire/pcp/index.js'

/** A PCP server refused a mapping, or did not answer. */
export class PcpError extends AtsssError {
  override readonly name = 'PcpError'
  /** The server's address and port. */
  readonly server: string
  /** The result code (RFC 6887 §7.4); `undefined` if the server did not answer. */
  readonly result: number | undefined
  /** Milliseconds until the next request. */
  readonly retryAfter: number | undefined

  constructor(code: ErrorCode, message: string, about: { server: string; result?: number; retryAfter?: number }) {
    super(code, message)
    this.server = about.server
    this.result = about.result
    this.retryAfter = about.retryAfter
  }
}

/** A result's name in RFC 6887, and what it means. */
export function meaningOf(result: number): string {
  const name = resultName(result)
  return name === undefined || name === 'success'
    ? `result ${result}, which RFC 6887 does not list`
    : `${name.replaceAll('-', '_').toUpperCase()}, ${MEANINGS[name]}`
}

/** As in docs/errors.md. RFC 6887 §7.4. */
const MEANINGS: Readonly<Record<Exclude<PcpResult, 'success'>, string>> = {
  'unsupp-version': 'it speaks another version of PCP',
  'not-authorized': 'it does not serve this client, or the mapping belongs to another client',
  'malformed-request': 'it could not read the request',
  'unsupp-opcode': 'it does not make such mappings',
  'unsupp-option': 'it does not know a mandatory option. Leave out filters, or do not require a port',
  'malformed-option': 'it could not read an option',
  'network-failure': 'it has no external address at present',
  'no-resources': 'it has no resources for further mappings at present, for any client',
  'unsupp-protocol': 'it does not make mappings for TCP',
  'user-ex-quota': 'this client already has as many mappings as it may have (with our converter: --pcp-quota)',
  'cannot-provide-external':
    'it cannot provide the required external address and port. Choose others, or leave out required',
  'address-mismatch': 'something on the path to the server translates addresses (NAT)',
  'excessive-remote-peers': 'there are more filters than it accepts (with our converter: --pcp-max-filters)',
}
