/** Constants of Linux' socket interface: include/uapi/linux/{in,tcp,mptcp,eventpoll}.h, asm-generic/socket.h. */

export const IPPROTO_TCP = 6
export const IPPROTO_MPTCP = 262

export const SOL_SOCKET = 1
export const SO_REUSEADDR = 2
export const SO_SNDBUF = 7
export const SO_RCVBUF = 8
export const SO_KEEPALIVE = 9
export const SO_REUSEPORT = 15
export const SO_BINDTODEVICE = 25
export const SO_SNDBUFFORCE = 32
export const SO_RCVBUFFORCE = 33
export const SO_PROTOCOL = 38
/** An interface index (Linux 5.1). */
export const SO_BINDTOIFINDEX = 62
/** 8 bytes, which name the network namespace of a socket (Linux 5.14). */
export const SO_NETNS_COOKIE = 71

export const SOL_TCP = IPPROTO_TCP
export const TCP_KEEPIDLE = 4
export const TCP_INFO = 11
export const TCP_CONGESTION = 13
export const TCP_NOTSENT_LOWAT = 25
/** A state of tcpi_state (net/tcp_states.h). */
export const TCP_ESTABLISHED = 1
export const TCP_FASTOPEN = 23
export const TCP_FASTOPEN_NO_COOKIE = 34

export const SOL_IP = 0
export const IP_TOS = 1

export const SOL_IPV6 = 41
export const IPV6_V6ONLY = 26

export const SOL_MPTCP = 284
export const MPTCP_INFO = 1

export const EPOLLIN = 0x1
export const EPOLLOUT = 0x4

/** An int as `setsockopt` takes it. */
export function int(value: number): Uint8Array {
  return new Uint8Array(Int32Array.of(value).buffer)
}

/** Bytes; more than any kernel's struct tcp_info or struct mptcp_info. */
export const INFO_MAX = 512
