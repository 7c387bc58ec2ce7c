#include "subflow-info.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "sockets.h"

namespace atsss {

namespace {

// include/uapi/linux/mptcp.h: the C library's copy may be older than the kernel.
constexpr int kSolMptcp = 284;
constexpr int kMptcpInfo = 1;
constexpr int kMptcpTcpInfo = 2;
constexpr int kMptcpSubflowAddrs = 3;
constexpr int kMptcpFullInfo = 4;

/** struct mptcp_subflow_addrs. */
struct SubflowAddrs {
  sockaddr_storage local;
  sockaddr_storage remote;
};

/** struct mptcp_subflow_info. */
struct SubflowInfo {
  uint32_t id;
  SubflowAddrs addrs;
};

/** struct mptcp_full_info. */
struct FullInfo {
  uint32_t sizeTcpInfoKernel = 0;
  uint32_t sizeTcpInfoUser = 0;
  uint32_t sizeSubflowInfoKernel = 0;
  uint32_t sizeSubflowInfoUser = 0;
  uint32_t subflows = 0;
  uint32_t sizeArraysUser = kMostSubflows;
  alignas(8) uint64_t subflowInfo = 0;
  alignas(8) uint64_t tcpInfo = 0;
  MptcpInfoBytes info;
};
static_assert(offsetof(FullInfo, info) == 40);

/** struct mptcp_subflow_data, and what follows it. */
template <typename Item>
struct SubflowData {
  uint32_t size = 16;
  uint32_t subflows = 0;
  uint32_t sizeKernel = 0;
  uint32_t sizeUser = sizeof(Item);
  std::array<Item, kMostSubflows> items;
};
static_assert(offsetof(SubflowData<TcpInfoBytes>, items) == 16 && offsetof(SubflowData<SubflowAddrs>, items) == 16);

/** @returns how many bytes the kernel wrote, or less than 0 (errno) */
int ask(int fd, int level, int name, void* into, size_t room) {
  auto length = static_cast<socklen_t>(room);
  if (::getsockopt(fd, level, name, into, &length) < 0) return -1;
  return static_cast<int>(length);
}

uint16_t portOf(const sockaddr_storage& address) {
  // The same place in sockaddr_in and sockaddr_in6.
  return ntohs(at<uint16_t>(reinterpret_cast<const uint8_t*>(&address), offsetof(sockaddr_in, sin_port)));
}

/** An id for kernels that have none: of the addresses (FNV-1a), and beyond all the kernel's own. */
double idOf(const SubflowAddrs& addrs) {
  uint32_t hash = 2166136261;
  const auto* bytes = reinterpret_cast<const uint8_t*>(&addrs);
  for (size_t i = 0; i < sizeof addrs; i++) hash = (hash ^ bytes[i]) * 16777619;
  return 4294967296.0 + hash;
}

/** @returns whether the kernel knows how */
bool askWhole(int fd, Connection& connection) {
  // The subflow's id, and of its addresses as much as holds the local port.
  struct IdAndPort {
    uint8_t bytes[offsetof(SubflowInfo, addrs) + 8];
  };
  std::array<IdAndPort, kMostSubflows> infos;
  FullInfo full;
  full.sizeTcpInfoUser = sizeof(TcpInfoBytes);
  full.sizeSubflowInfoUser = sizeof(IdAndPort);
  full.subflowInfo = reinterpret_cast<uintptr_t>(infos.data());
  full.tcpInfo = reinterpret_cast<uintptr_t>(connection.tcpInfo.data());
  const int length = ask(fd, kSolMptcp, kMptcpFullInfo, &full, sizeof full);
  if (length < static_cast<int>(offsetof(FullInfo, info))) return false;

  connection.info = full.info;
  connection.infoLength = static_cast<size_t>(length) - offsetof(FullInfo, info);
  connection.subflows = std::min<size_t>(full.subflows, kMostSubflows);
  for (size_t i = 0; i < connection.subflows; i++) {
    const uint8_t* const bytes = infos[i].bytes;
    connection.ids[i] = at<uint32_t>(bytes, offsetof(SubflowInfo, id));
    connection.localPorts[i] =
        ntohs(at<uint16_t>(bytes, offsetof(SubflowInfo, addrs) + offsetof(sockaddr_in, sin_port)));
  }
  return true;
}

bool askInfo(int fd, Connection& connection) {
  const int length = ask(fd, kSolMptcp, kMptcpInfo, connection.info.data(), connection.info.size());
  if (length < 0) return false;
  connection.infoLength = static_cast<size_t>(length);
  return true;
}

bool askInParts(int fd, Connection& connection) {
  if (!askInfo(fd, connection)) return false;
  SubflowData<SubflowAddrs> addrs;
  SubflowData<TcpInfoBytes> infos;
  if (ask(fd, kSolMptcp, kMptcpSubflowAddrs, &addrs, sizeof addrs) < 0) return false;
  if (ask(fd, kSolMptcp, kMptcpTcpInfo, &infos, sizeof infos) < 0) return false;

  // A subflow that has come or gone in between: the next sample has it right.
  connection.subflows = std::min<size_t>({addrs.subflows, infos.subflows, kMostSubflows});
  for (size_t i = 0; i < connection.subflows; i++) {
    connection.ids[i] = idOf(addrs.items[i]);
    connection.localPorts[i] = portOf(addrs.items[i].local);
    connection.tcpInfo[i] = infos.items[i];
  }
  return true;
}

/** A connection that fell back to TCP, or never was anything else. */
bool askTcp(int fd, Connection& connection) {
  if (ask(fd, IPPROTO_TCP, TCP_INFO, connection.tcpInfo[0].data(), sizeof(TcpInfoBytes)) < 0) return false;
  Address local;
  connection.localPorts[0] =
      ::getsockname(fd, local.get(), &local.length) == 0 ? portOf(local.storage) : static_cast<uint16_t>(0);
  connection.ids[0] = 0;
  connection.subflows = 1;
  return true;
}

Endpoint described(const sockaddr_storage& storage) {
  Address address;
  address.storage = storage;
  Endpoint endpoint;
  // A subflow that is not bound yet has no family.
  if (describeAddress(address, &endpoint) != 0) endpoint = {"0.0.0.0", 4, 0};
  return endpoint;
}

}  // namespace

int askConnection(int fd, Connection& connection, Asking& asking) {
  connection.infoLength = 0;
  connection.subflows = 0;
  if (asking == Asking::connections) {
    if (askInfo(fd, connection)) return 0;
    // Of IPv6 the kernel says ENOPROTOOPT.
    return errno == EBADF || errno == ENOTSOCK ? errno : EOPNOTSUPP;
  }
  if (asking == Asking::whole) {
    if (askWhole(fd, connection)) return 0;
    if (errno == EBADF || errno == ENOTSOCK) return errno;
  }
  if (askInParts(fd, connection)) {
    // The kernel has MPTCP_INFO and no MPTCP_FULL_INFO: nor will it for the next one.
    asking = Asking::inParts;
    return 0;
  }
  return askTcp(fd, connection) ? EOPNOTSUPP : errno;
}

std::vector<SubflowEndpoints> subflowEndpoints(int fd, Asking asking) {
  std::vector<SubflowEndpoints> found;
  if (asking != Asking::inParts) {
    std::array<SubflowInfo, kMostSubflows> infos;
    FullInfo full;
    full.sizeSubflowInfoUser = sizeof(SubflowInfo);
    full.subflowInfo = reinterpret_cast<uintptr_t>(infos.data());
    if (ask(fd, kSolMptcp, kMptcpFullInfo, &full, sizeof full) >= 0) {
      for (size_t i = 0; i < std::min<size_t>(full.subflows, kMostSubflows); i++)
        found.push_back({static_cast<double>(infos[i].id), described(infos[i].addrs.local),
                         described(infos[i].addrs.remote)});
      return found;
    }
  }
  SubflowData<SubflowAddrs> addrs;
  if (ask(fd, kSolMptcp, kMptcpSubflowAddrs, &addrs, sizeof addrs) >= 0) {
    for (size_t i = 0; i < std::min<size_t>(addrs.subflows, kMostSubflows); i++)
      found.push_back({idOf(addrs.items[i]), described(addrs.items[i].local), described(addrs.items[i].remote)});
    return found;
  }
  return {{0, socketName(fd), peerName(fd)}};
}

}  // namespace atsss
