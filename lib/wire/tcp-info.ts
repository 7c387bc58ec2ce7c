/** What `getsockopt(fd, IPPROTO_TCP, TCP_INFO)` wrote: struct tcp_info, include/uapi/linux/tcp.h. */
export interface TcpInfo {
  state?: number
  /** The peer acknowledged the data of the SYN: TCPI_OPT_SYN_DATA. */
  synDataAcked?: boolean
}

export function decodeTcpInfo(_bytes: Uint8Array): TcpInfo {
  throw new Error('to be written')
}
