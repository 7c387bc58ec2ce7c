/** What `getsockopt(fd, SOL_MPTCP, MPTCP_INFO)` wrote: struct mptcp_info, include/uapi/linux/mptcp.h. */
export interface MptcpInfo {
  subflows?: number
  token?: number
  fallback?: boolean
}

export function decodeMptcpInfo(_bytes: Uint8Array): MptcpInfo {
  throw new Error('to be written')
}
