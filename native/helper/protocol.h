// What a client and the helper send to each other: datagrams over a Unix socket (SOCK_SEQPACKET), in the host's byte
// order. A datagram has one or more requests, or one or more replies, since each datagram may cost a switch between the
// two processes. lib/wire/netlink/steering-helper.ts has the client's side.
#pragma once

#include <cstdint>

namespace atsss {

/** First in every request and reply. The last byte is the version: another layout gets another one. */
constexpr uint32_t kProtocol = 0x41545302;

enum class Command : uint32_t {
  /** The answer has the cookie of the helper's network namespace, as 8 bytes. */
  hello = 1,
  /** With the socket: events of its connection are sent from now on, until the connection or this client ends. */
  watch = 2,
  forget = 3,
  /** Each with the socket: the commands of mptcp_pm for one connection. */
  createSubflow = 4,
  destroySubflow = 5,
  setFlags = 6,
  announce = 7,
  remove = 8,
};

struct WireAddress {
  /** 4, 6; 0: none. */
  uint8_t family;
  uint8_t id;
  uint16_t port;
  /** Of IPv4 the first four. */
  uint8_t bytes[16];
};

/**
 * One of a datagram. With the datagram come the MPTCP sockets (SCM_RIGHTS): one for each request that needs one, in
 * their order.
 */
struct Request {
  uint32_t protocol;
  /** The answer repeats it. */
  uint32_t sequence;
  Command command;
  uint32_t token;
  /** MPTCP_PM_ADDR_FLAG_*. */
  uint32_t flags;
  int32_t interfaceIndex;
  WireAddress local;
  WireAddress remote;
};
static_assert(sizeof(Request) == 64, "the client's layout");

/** In one datagram, at most. */
constexpr unsigned kMostRequests = 16;

enum class Kind : uint32_t {
  /** The kernel's: `error` is an errno or 0, the text is the kernel's explanation. */
  answer = 1,
  /** The helper's own: the text is "CODE: SENTENCE". */
  refusal = 2,
  /** An event of mptcp_pm as the kernel wrote it, from the generic netlink header on. */
  event = 3,
  /** Events were lost: watch all sockets again, and read their state. */
  overrun = 4,
};

/** One of a datagram. Text, an event, or a cookie follows, and then the next reply. */
struct Reply {
  uint32_t protocol;
  Kind kind;
  uint32_t sequence;
  int32_t error;
  /** Of what follows, in bytes. */
  uint32_t size;
};
static_assert(sizeof(Reply) == 20, "the client's layout");

/** Bytes after a Reply, at most. Events of IPv6 have about 200. */
constexpr unsigned kMostReplyBytes = 492;
/** Bytes of a datagram to the client, at most. */
constexpr unsigned kMostDatagramBytes = 4096;

}  // namespace atsss
