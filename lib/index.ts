/**
 * The UE side of 3GPP ATSSS' MPTCP functionality: net.connect over Linux MPTCP and the 0-RTT TCP Convert Protocol.
 *
 * @packageDocumentation
 */

export {
  AtsssError,
  type ErrorCode,
  type SystemError,
  type WireCode,
  WireError,
  type WireReason,
} from './errors.js'
export type {
  ConverterAddress,
  ConverterDomain,
  ConverterInput,
  ConvertForm,
  CookieStore,
  MptcpOptions,
} from './input/options.js'
export type { SocketTuning } from './input/socket-tuning.js'
export { ConvertError } from './policy/connect/convert-error.js'
export type { OneRttReason } from './policy/connect/converter-memory.js'
export type { RuleChange, UpdateProblem } from './policy/rules/container.js'
export type {
  AccessTypeName,
  AtsssRule,
  SteeringMode,
  SteerModeIndicator,
  SteerModeValue,
  ThresholdValue,
} from './policy/rules/json.js'
export type { FlowInformation, PccRule, SmPolicyDecision, TrafficControlData } from './policy/rules/json-pcc.js'
export type { TrafficDescriptor } from './policy/rules/json-traffic.js'
export type { NetworkInformation } from './policy/rules/network.js'
export { PRESETS, type Preset } from './policy/rules/presets.js'
export type { RulesInput } from './policy/rules/read.js'
export type { AccessType, Rule, Steering, SteeringFunctionality, Thresholds } from './policy/rules/rule.js'
export type { Assistance } from './policy/steering/modes.js'
export type { Action } from './policy/steering/plan.js'
export type { MptcpReport } from './runtime/connect/report.js'
export { PcpError } from './runtime/incoming/pcp-error.js'
export type { External, PeerFilter } from './runtime/incoming/pcp-mapping.js'
export type { RefusalReason } from './runtime/incoming/reception.js'
export type { Support } from './runtime/kernel/native.js'
export { isSupported } from './runtime/kernel/support.js'
export type { ConnectionStats, SubflowStats } from './runtime/steering/accounts.js'
export type { Handover } from './runtime/steering/handover-gap.js'
export type { SteeringLevel } from './runtime/steering/messages.js'
export type { Rates, Traffic, TrafficByAccess } from './runtime/steering/rates.js'
export type { Carried } from './runtime/steering/subflow-report.js'
export type { ConnectionMessage, DiagnosticsMessages, SessionMessage } from './session/diagnostics.js'
export type { Explanation, SessionEvents, SessionHandover, SessionUpdate } from './session/events.js'
export type { AccessInput, SessionOptions } from './session/options.js'
export type { Refusals, SessionServer, SessionServerEvents } from './session/server.js'
export type { SessionServerOptions } from './session/server-options.js'
export { MaPduSession } from './session/session.js'
export type { AccessStats, RuleStats, SessionStats } from './session/stats.js'
export type { GapHistogram, LastHandover, SessionTotals } from './session/totals.js'
export type { WatchOptions } from './session/watch-options.js'
export { type CreateConnection, connect, createConnection } from './socket/connect.js'
export {
  AcceptedSocket,
  createServer,
  MptcpServer,
  type MptcpServerOptions,
  type ServerReport,
} from './socket/server.js'
export { type MptcpConnectOptions, MptcpSocket } from './socket/socket.js'
export type { ConvertErrorValue } from './wire/convert/error.js'
export type { TcpOption, Tlv } from './wire/convert/index.js'
