/** A PCP server's answer to a datagram. RFC 6887 §8.2, in its order; the mappings themselves are in mappings.ts. */
import { WireError } from '../../errors.js'
import type { PrefixSet } from '../../input/addresses.js'
import { clientAddressOf } from '../../wire/pcp/decode.js'
import {
  decodePcpRequest,
  encodePcpError,
  encodePcpResponse,
  isMandatory,
  PCP_HEADER_LENGTH,
  PCP_MAX_LENGTH,
  type PcpOption,
  type PcpRequest,
  type PcpResult,
  RESULTS,
} from '../../wire/pcp/index.js'
import { OPCODES } from '../../wire/pcp/message.js'
import type { Place } from './mapping.js'
import { ERROR_LIFETIME, type MapAnswer, type Mappings } from './mappings.js'

interface PcpPolicy {
  /** The internal realm. */
  allow: PrefixSet
  thirdParty: PrefixSet
}

interface PcpAnswer {
  /** `undefined`: no answer. */
  bytes: Uint8Array | undefined
  result: PcpResult | 'ignored'
  /** Of a request to map. */
  map?: MapAnswer
}

/** @param epoch seconds, @param now milliseconds, @param server the address that was asked */
export function answerPcp(
  bytes: Uint8Array,
  client: Place,
  server: string,
  mappings: Mappings,
  policy: PcpPolicy,
  epoch: number,
  now: number,
): PcpAnswer {
  // "A PCP server MUST only accept normal (non-THIRD_PARTY) PCP requests from a client on the same interface from which it
  // would normally receive packets from that client, and it MUST silently ignore PCP requests arriving on any other".
  if (!policy.allow.has(client.address)) return IGNORED
  const refuse = (result: Exclude<PcpResult, 'success'>, parsed: boolean, lifetime: number = ERROR_LIFETIME.long) => ({
    bytes: encodePcpError(bytes, { result: RESULTS[result], lifetime, epoch, parsed }),
    result,
  })
  let request: PcpRequest
  try {
    request = decodePcpRequest(bytes)
  } catch (error) {
    if (!(error instanceof WireError)) throw error
    const result = resultOf(error, bytes, client)
    return result ? refuse(result, false) : IGNORED
  }
  const { operation, options, lifetime } = request
  // "If they do not match, the error ADDRESS_MISMATCH MUST be returned."
  if (request.clientAddress !== client.address) return refuse('address-mismatch', true)
  if (operation.type === 'unknown' || operation.type === 'peer') return refuse('unsupp-opcode', true)
  if (options.some(option => option.type === 'unknown' && isMandatory(option))) return refuse('unsupp-option', true)
  const third = options.find(option => option.type === 'third-party')
  // §13.1: "specifying the same address as the source address of the packet MUST return a MALFORMED_REQUEST result code."
  if (third?.internalAddress === client.address) return refuse('malformed-request', true)
  if (third && !policy.thirdParty.has(client.address)) return refuse('unsupp-option', true)
  // Mappings lead to clients, not to what is behind the converter, such as its own loopback.
  if (third && !policy.allow.has(third.internalAddress)) return refuse('not-authorized', true)
  const success = (operation: PcpRequest['operation'], processed: readonly PcpOption[], granted: number) =>
    encodePcpResponse({ result: RESULTS.success, lifetime: granted, epoch, operation, options: [...processed] })
  if (operation.type === 'announce') {
    // §13: "These options MUST NOT appear with other Opcodes".
    if (options.some(({ type }) => type !== 'unknown')) return refuse('malformed-option', true)
    return { bytes: success(operation, [], 0), result: 'success' }
  }
  const internalAddress = third?.internalAddress ?? client.address
  const map = mappings.map({ operation, options, lifetime, internalAddress, client, server }, now)
  if (map.result !== 'success') return { ...refuse(map.result, true, map.lifetime), map }
  const assigned = { ...operation, externalAddress: map.external.address, externalPort: map.external.port }
  // §7.3: "all processed options are included and unprocessed options are not included."
  const processed = options.filter(({ type }) => type !== 'unknown')
  return { bytes: success(assigned, processed, map.lifetime), result: 'success', map }
}

const IGNORED: PcpAnswer = { bytes: undefined, result: 'ignored' }

/** `undefined`: "silently dropped". */
function resultOf({ reason }: WireError, bytes: Uint8Array, client: Place): Exclude<PcpResult, 'success'> | undefined {
  if (bytes.length < 2 || reason === 'pcp-direction') return undefined
  if (reason === 'version') return 'unsupp-version'
  // "if the version is supported but the received message is shorter than 24 octets, the message is silently dropped."
  if (bytes.length < PCP_HEADER_LENGTH) return undefined
  // What is behind the header of an opcode that is not supported is copied "without attempting to interpret it".
  const isPeer = bytes[1] === OPCODES.peer && bytes.length <= PCP_MAX_LENGTH && bytes.length % 4 === 0
  if (reason !== 'pcp-option' && !isPeer) return 'malformed-request'
  // The address is compared before options are examined.
  if (clientAddressOf(bytes) !== client.address) return 'address-mismatch'
  return isPeer ? 'unsupp-opcode' : 'malformed-option'
}
