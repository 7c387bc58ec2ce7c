// What the kernel reports about a connection and its subflows: MPTCP_FULL_INFO, and its substitutes on older kernels.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "address.h"

namespace atsss {

/** More subflows than the kernel allows a connection by default (8). Any beyond are left out. */
constexpr size_t kMostSubflows = 32;

/** What to ask the kernel for. TypeScript uses the same numbers (`ASKING`). */
enum class Asking : int {
  /** MPTCP_FULL_INFO; in parts where the kernel lacks it (before 6.5). */
  whole,
  /** MPTCP_INFO, MPTCP_SUBFLOW_ADDRS and MPTCP_TCPINFO: to test that on any kernel. */
  inParts,
  /** MPTCP_INFO only: no subflows, in a fraction of the time. */
  connections
};

/** The first bytes of struct tcp_info, up to tcpi_snd_wnd (Linux 5.4). A kernel may write fewer. */
constexpr size_t kTcpInfoSize = 232;
using TcpInfoBytes = std::array<uint8_t, kTcpInfoSize>;

/** The first bytes of struct mptcp_info, up to mptcpi_last_ack_recv (Linux 6.10). Older kernels write fewer. */
constexpr size_t kMptcpInfoSize = 96;
using MptcpInfoBytes = std::array<uint8_t, kMptcpInfoSize>;

struct SubflowName {
  /** The kernel's. Before 6.5 it has none: then a hash of the addresses, above 2^32. 0 for plain TCP. */
  double id;
  uint16_t localPort;
};

/** A connection as the kernel reports it. Fields that it does not report keep their values. */
struct Connection {
  MptcpInfoBytes info;
  /** How much of `info` the kernel wrote. */
  size_t infoLength = 0;
  size_t subflows = 0;
  std::array<SubflowName, kMostSubflows> names;
  /** Where the kernel writes `kMostSubflows` of TcpInfoBytes at most, one after the other. */
  uint8_t* tcpInfo = nullptr;
  /** How much of each TcpInfoBytes the kernel wrote. */
  size_t tcpInfoLength = 0;
};

/**
 * @param asking becomes `inParts` where the kernel turns out to lack MPTCP_FULL_INFO
 * @returns 0, EOPNOTSUPP for a TCP connection, or the errno of a descriptor that is no connection
 */
int askConnection(int fd, Connection& connection, Asking& asking);

struct SubflowEndpoints {
  double id;
  Endpoint local;
  Endpoint remote;
};
/** The subflows of an MPTCP connection; a plain TCP connection counts as its own only subflow, with the id 0. */
std::vector<SubflowEndpoints> subflowEndpoints(int fd, Asking asking);

}  // namespace atsss
