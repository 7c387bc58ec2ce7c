// The one native function that is more than a syscall: it reads the counters of many sockets, and writes them as doubles.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "address.h"

namespace atsss {

/**
 * For each socket a record of `SocketField::count` doubles, and behind it one of `SubflowField::count` for each of its
 * subflows. What the fields mean is said where they are read: lib/runtime/sampler.ts, which numbers them alike. NaN
 * stands for what this kernel does not tell.
 */
enum class SocketField : size_t {
  fd,
  errorNumber,
  token,
  /** How many subflow records follow. */
  subflows,
  bytesSent,
  bytesReceived,
  bytesAcked,
  bytesRetrans,
  retransmits,
  outstanding,
  lastDataSent,
  lastDataRecv,
  lastAckRecv,
  count
};

enum class SubflowField : size_t {
  id,
  state,
  localPort,
  retransmits,
  unacked,
  lost,
  lastDataSent,
  lastDataRecv,
  lastAckRecv,
  rtt,
  rttvar,
  minRtt,
  sndCwnd,
  totalRetrans,
  pacingRate,
  deliveryRate,
  bytesAcked,
  bytesReceived,
  bytesSent,
  bytesRetrans,
  notsentBytes,
  count
};

/** More subflows than the kernel lets a connection have by itself (8); any beyond are left out. */
constexpr size_t kMostSubflows = 32;
/** The longest record of a socket: as long as there is so much room, the next socket is read. */
constexpr size_t kMostDoubles = static_cast<size_t>(SocketField::count) +
                                kMostSubflows * static_cast<size_t>(SubflowField::count);

/** How the kernel is asked. */
enum class Asking {
  /** MPTCP_FULL_INFO, and where the kernel has none (before 6.5), in parts. */
  whole,
  /** MPTCP_INFO, MPTCP_SUBFLOW_ADDRS and MPTCP_TCPINFO: to test that on any kernel. */
  inParts
};

/** @returns how many of the sockets there was room for */
size_t sampleSockets(const int32_t* fds, size_t count, double* out, size_t room, Asking asking);

struct SubflowEndpoints {
  double id;
  Endpoint local;
  Endpoint remote;
};
/** The subflows of an MPTCP connection; for a plain TCP one itself, as 0. */
std::vector<SubflowEndpoints> subflowEndpoints(int fd, Asking asking);

}  // namespace atsss
