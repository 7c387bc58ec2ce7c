/** The 0-RTT TCP Convert Protocol, RFC 8803 §6: bytes to values and back, no I/O. */
export interface TcpOption {
  kind: number
  value: Uint8Array
}

export type Tlv =
  | { type: 'info' }
  | { type: 'connect'; address: string; port: number; tcpOptions: TcpOption[] }
  | { type: 'extended-tcp-header'; options: Uint8Array }
  | { type: 'supported-tcp-extensions'; kinds: number[] }
  | { type: 'cookie'; cookie: Uint8Array }
  | { type: 'error'; code: number; value: Uint8Array }
  | { type: 'unknown'; code: number; value: Uint8Array }

export const HEADER_LENGTH = 4
export const MAX_MESSAGE_LENGTH = 1020

export function encode(_tlvs: readonly Tlv[], _options?: { allowLoopback?: boolean }): Uint8Array {
  throw new Error('to be written')
}

/** The whole message at the start of `bytes`, and its length in bytes; `undefined` when more bytes are needed. */
export function decode(_bytes: Uint8Array): { tlvs: Tlv[]; length: number } | undefined {
  throw new Error('to be written')
}

/** The length in bytes of the message that this header (at least 4 bytes) starts. */
export function messageLength(_header: Uint8Array): number {
  throw new Error('to be written')
}

/** Why RFC 8803 §6.2.5 forbids this address as a remote peer, or `undefined`. */
export function forbiddenTarget(_address: string): string | undefined {
  throw new Error('to be written')
}
