// The one native function that is more than a syscall: it reads the counters of many sockets, and writes them as doubles.
#pragma once

#include <cstddef>
#include <cstdint>

#include "subflow-info.h"

namespace atsss {

/**
 * For each socket a record of `SocketField::count` doubles, and behind it one of `SubflowField::count` for each of its
 * subflows. What the fields mean is said where they are read: lib/runtime/kernel/sampler.ts, which numbers them alike. NaN
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
  segsIn,
  count
};

/** The longest record of a socket: as long as there is so much room, the next socket is read. */
constexpr size_t kMostDoubles = static_cast<size_t>(SocketField::count) +
                                kMostSubflows * static_cast<size_t>(SubflowField::count);

/** @returns how many of the sockets there was room for */
size_t sampleSockets(const int32_t* fds, size_t count, double* out, size_t room, Asking asking);

}  // namespace atsss
