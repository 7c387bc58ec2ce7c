/** The Port Control Protocol, RFC 6887: datagrams to values and back, without I/O, clock or randomness. */
export { decodePcpRequest, decodePcpResponse } from './pcp-decode.js'
export { encodePcpError, encodePcpRequest, encodePcpRequestInto, encodePcpResponse } from './pcp-encode.js'
export {
  type AnnounceOperation,
  type ClearFiltersOption,
  type FilterOption,
  isMandatory,
  type MapOperation,
  NONCE_LENGTH,
  OPTION_CODES,
  PCP_CLIENT_PORT,
  PCP_HEADER_LENGTH,
  PCP_MAX_LENGTH,
  PCP_MULTICAST,
  PCP_PROTOCOL,
  PCP_SERVER_PORT,
  PCP_VERSION,
  type PcpOperation,
  type PcpOption,
  type PcpRequest,
  type PcpResponse,
  type PcpResult,
  type PeerOperation,
  type PreferFailureOption,
  RESULTS,
  resultName,
  type ThirdPartyOption,
} from './pcp-message.js'
