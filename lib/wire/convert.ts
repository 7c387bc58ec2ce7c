// The codec's shape, to be filled in.
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
