// What the kernel tells of a connection and its subflows: MPTCP_FULL_INFO, and its substitutes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "address.h"

namespace atsss {

/** More subflows than the kernel lets a connection have by itself (8); any beyond are left out. */
constexpr size_t kMostSubflows = 32;

/** What the kernel is asked for, and how. TypeScript numbers them alike. */
enum class Asking : int {
  /** MPTCP_FULL_INFO, and where the kernel has none (before 6.5), in parts. */
  whole,
  /** MPTCP_INFO, MPTCP_SUBFLOW_ADDRS and MPTCP_TCPINFO: to test that on any kernel. */
  inParts,
  /** MPTCP_INFO only: no subflows, in a fraction of the time. */
  connections
};

/** The fields of struct tcp_info that are read lie in its first bytes; every kernel with MPTCP has all of them. */
using TcpInfoBytes = std::array<uint8_t, 216>;

/** struct mptcp_info, with room to grow. */
using MptcpInfoBytes = std::array<uint8_t, 256>;

/** A connection as the kernel tells it. What is not said to be there is left as it was. */
struct Connection {
  MptcpInfoBytes info;
  size_t infoLength = 0;
  size_t subflows = 0;
  std::array<double, kMostSubflows> ids;
  std::array<uint16_t, kMostSubflows> localPorts;
  std::array<TcpInfoBytes, kMostSubflows> tcpInfo;
};

/** @returns 0, EOPNOTSUPP for TCP, or why nothing is known */
int askConnection(int fd, Connection& connection, Asking& asking);

struct SubflowEndpoints {
  double id;
  Endpoint local;
  Endpoint remote;
};
/** The subflows of an MPTCP connection; for a plain TCP one itself, as 0. */
std::vector<SubflowEndpoints> subflowEndpoints(int fd, Asking asking);

template <typename Value>
Value at(const uint8_t* bytes, size_t offset) {
  Value value;
  std::memcpy(&value, bytes + offset, sizeof value);
  return value;
}

}  // namespace atsss
