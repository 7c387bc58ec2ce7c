// The one native function that is more than a system call: it reads the counters of many sockets at once.
#pragma once

#include <cstddef>
#include <cstdint>

#include "subflow-info.h"

namespace atsss {

// The kernel's structures go to TypeScript as they are: lib/wire/kernel knows their fields,
// lib/runtime/kernel/sampler.ts the layout of this buffer. For each socket a SocketRecord; behind it `subflows` of
// struct tcp_info (kTcpInfoSize each), then `subflows` of SubflowRecord. Everything begins at a multiple of 8.

struct SocketRecord {
  int32_t fd;
  /** As `askConnection` returned it. */
  int32_t errorNumber;
  /** How much of `info` the kernel wrote. */
  uint32_t infoLength;
  uint32_t subflows;
  MptcpInfoBytes info;
};
static_assert(sizeof(SocketRecord) == 112 && offsetof(SocketRecord, info) == 16);

struct SubflowRecord {
  uint32_t localPort;
  /** How much of its tcp_info the kernel wrote. */
  uint32_t tcpInfoLength;
  alignas(8) double id;
};
static_assert(sizeof(SubflowRecord) == 16 && offsetof(SubflowRecord, tcpInfoLength) == 4 &&
              offsetof(SubflowRecord, id) == 8);
static_assert(kTcpInfoSize % 8 == 0);

/** The longest record of a socket: the next socket is read only if this much room is left. */
constexpr size_t kLongestRecord = sizeof(SocketRecord) + kMostSubflows * (kTcpInfoSize + sizeof(SubflowRecord));

/** @returns how many of the sockets there was room for */
size_t sampleSockets(const int32_t* fds, size_t count, uint8_t* out, size_t room, Asking asking);

}  // namespace atsss
