#include "subflow-info.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sockets.h"

namespace atsss {

namespace {

// include/uapi/linux/mptcp.h: the C library's copy may be older than the kernel.
constexpr int kSolMptcp = 284;
constexpr int kMptcpInfo = 1;
constexpr int kMptcpTcpInfo = 2;
constexpr int kMptcpSubflowAddrs = 3;
constexpr int kMptcpFullInfo = 4;

// The structures below have the kernel's layout. A 32-bit process may run on a 64-bit kernel, which writes its own
// layout all the same: so nothing here depends on the alignment that this compiler gives to a type.

/** struct __kernel_sockaddr_storage. */
using StorageBytes = std::array<uint8_t, 128>;
static_assert(sizeof(StorageBytes) == sizeof(sockaddr_storage));

/** struct mptcp_subflow_addrs. */
struct SubflowAddrs {
  StorageBytes local;
  StorageBytes remote;
};
static_assert(sizeof(SubflowAddrs) == 256 && alignof(SubflowAddrs) == 1);

/**
 * struct mptcp_subflow_info: an `__u32 id`, and a SubflowAddrs, which contains a pointer for its alignment. So the
 * addresses begin at 8 on a 64-bit kernel and at 4 on a 32-bit one. The kernel says how long the struct is.
 */
constexpr size_t kMostSubflowInfo = 8 + sizeof(SubflowAddrs);
constexpr size_t addrsOffset(size_t kernelSize) { return kernelSize >= kMostSubflowInfo ? 8 : 4; }
static_assert(addrsOffset(8 + 256) == 8 && addrsOffset(4 + 256) == 4);

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
static_assert(offsetof(FullInfo, subflows) == 16 && offsetof(FullInfo, sizeArraysUser) == 20);
static_assert(offsetof(FullInfo, subflowInfo) == 24 && offsetof(FullInfo, tcpInfo) == 32);
static_assert(offsetof(FullInfo, info) == 40 && sizeof(FullInfo) == 40 + kMptcpInfoSize && alignof(FullInfo) == 8);

/** struct mptcp_subflow_data, which is aligned to 8, and the items that follow it. */
template <typename Item>
struct alignas(8) SubflowData {
  uint32_t size = 16;
  uint32_t subflows = 0;
  uint32_t sizeKernel = 0;
  uint32_t sizeUser = sizeof(Item);
  std::array<Item, kMostSubflows> items;
};
static_assert(offsetof(SubflowData<TcpInfoBytes>, items) == 16 && offsetof(SubflowData<SubflowAddrs>, items) == 16);
static_assert(sizeof(TcpInfoBytes) == kTcpInfoSize && sizeof(MptcpInfoBytes) == kMptcpInfoSize);

// The ports are at the same place in both, on every architecture.
static_assert(offsetof(sockaddr_in, sin_port) == 2 && offsetof(sockaddr_in6, sin6_port) == 2);
constexpr size_t kPortOffset = 2;

/** @returns how many bytes the kernel wrote, or -1 (errno) */
int ask(int fd, int level, int name, void* into, size_t room) {
  auto length = static_cast<socklen_t>(room);
  if (::getsockopt(fd, level, name, into, &length) < 0) return -1;
  return static_cast<int>(length);
}

uint32_t u32At(const uint8_t* bytes) {
  uint32_t value = 0;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

/** A kernel whose tcp_info is shorter writes `count` of them without gaps, `step` bytes each. Moves them apart. */
void spreadTcpInfo(uint8_t* infos, size_t count, size_t step) {
  if (step >= kTcpInfoSize) return;
  for (size_t i = count; i-- > 0;) std::memmove(infos + i * kTcpInfoSize, infos + i * step, step);
}

/** The port of a sockaddr, in host order. */
uint16_t portOf(const uint8_t* address) {
  return static_cast<uint16_t>(address[kPortOffset] << 8 | address[kPortOffset + 1]);
}

/** An id for kernels that have none: a hash of the addresses (FNV-1a), above all ids of kernels. */
double idOf(const SubflowAddrs& addrs) {
  uint32_t hash = 2166136261;
  for (const StorageBytes* storage : {&addrs.local, &addrs.remote})
    for (const uint8_t byte : *storage) hash = (hash ^ byte) * 16777619;
  return 4294967296.0 + hash;
}

/** @returns whether the kernel has MPTCP_FULL_INFO, for a connection that is MPTCP */
bool askWhole(int fd, Connection& connection) {
  // Of each subflow the id and, of its addresses, as much as contains the local port.
  constexpr size_t kPerSubflow = 8 + kPortOffset + 2;
  std::array<uint8_t, kMostSubflows * kPerSubflow> infos;
  FullInfo full;
  full.sizeTcpInfoUser = kTcpInfoSize;
  full.sizeSubflowInfoUser = kPerSubflow;
  full.subflowInfo = reinterpret_cast<uintptr_t>(infos.data());
  full.tcpInfo = reinterpret_cast<uintptr_t>(connection.tcpInfo);
  const int length = ask(fd, kSolMptcp, kMptcpFullInfo, &full, sizeof full);
  if (length < static_cast<int>(offsetof(FullInfo, info))) return false;

  connection.info = full.info;
  connection.infoLength = static_cast<size_t>(length) - offsetof(FullInfo, info);
  connection.subflows = std::min<size_t>(full.subflows, kMostSubflows);
  // The kernel lowers the size to its own.
  connection.tcpInfoLength = std::min<size_t>(full.sizeTcpInfoUser, kTcpInfoSize);
  spreadTcpInfo(connection.tcpInfo, connection.subflows, connection.tcpInfoLength);
  const size_t addrs = addrsOffset(full.sizeSubflowInfoKernel);
  for (size_t i = 0; i < connection.subflows; i++) {
    const uint8_t* const info = infos.data() + i * kPerSubflow;
    connection.names[i] = {static_cast<double>(u32At(info)), portOf(info + addrs)};
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

  // If a subflow came or went in between, the next sample is right again.
  connection.subflows = std::min<size_t>({addrs.subflows, infos.subflows, kMostSubflows});
  for (size_t i = 0; i < connection.subflows; i++)
    connection.names[i] = {idOf(addrs.items[i]), portOf(addrs.items[i].local.data())};
  std::memcpy(connection.tcpInfo, infos.items.data(), connection.subflows * kTcpInfoSize);
  connection.tcpInfoLength = std::min<size_t>(infos.sizeUser, kTcpInfoSize);
  spreadTcpInfo(connection.tcpInfo, connection.subflows, connection.tcpInfoLength);
  return true;
}

/** For a connection that fell back to TCP, or was never anything else. */
bool askTcp(int fd, Connection& connection) {
  std::fill_n(connection.tcpInfo, kTcpInfoSize, uint8_t{0});
  const int written = ask(fd, IPPROTO_TCP, TCP_INFO, connection.tcpInfo, kTcpInfoSize);
  if (written < 0) return false;
  connection.tcpInfoLength = static_cast<size_t>(written);
  StorageBytes local = {};
  socklen_t length = sizeof local;
  const bool named = ::getsockname(fd, reinterpret_cast<sockaddr*>(local.data()), &length) == 0;
  connection.names[0] = {0, named ? portOf(local.data()) : uint16_t{0}};
  connection.subflows = 1;
  return true;
}

Endpoint described(const StorageBytes& storage) {
  Address address;
  std::memcpy(&address.storage, storage.data(), sizeof storage);
  // A subflow that is not bound yet has no address family.
  return describeAddress(address).value_or(Endpoint{"0.0.0.0", 4, 0});
}

SubflowEndpoints described(double id, const SubflowAddrs& addrs) {
  return {id, described(addrs.local), described(addrs.remote)};
}

}  // namespace

int askConnection(int fd, Connection& connection, Asking& asking) {
  connection.infoLength = 0;
  connection.subflows = 0;
  connection.tcpInfoLength = 0;
  if (asking == Asking::connections) {
    if (askInfo(fd, connection)) return 0;
    // For a TCP connection over IPv6 the kernel says ENOPROTOOPT.
    return errno == EBADF || errno == ENOTSOCK ? errno : EOPNOTSUPP;
  }
  if (asking == Asking::whole) {
    if (askWhole(fd, connection)) return 0;
    if (errno == EBADF || errno == ENOTSOCK) return errno;
  }
  if (askInParts(fd, connection)) {
    // The kernel has MPTCP_INFO and lacks MPTCP_FULL_INFO: the next socket need not try.
    asking = Asking::inParts;
    return 0;
  }
  return askTcp(fd, connection) ? EOPNOTSUPP : errno;
}

std::vector<SubflowEndpoints> subflowEndpoints(int fd, Asking asking) {
  std::vector<SubflowEndpoints> found;
  if (asking != Asking::inParts) {
    std::array<uint8_t, kMostSubflows * kMostSubflowInfo> infos;
    FullInfo full;
    full.sizeSubflowInfoUser = kMostSubflowInfo;
    full.subflowInfo = reinterpret_cast<uintptr_t>(infos.data());
    if (ask(fd, kSolMptcp, kMptcpFullInfo, &full, sizeof full) >= 0) {
      const size_t offset = addrsOffset(full.sizeSubflowInfoKernel);
      // The kernel writes at most its own size per subflow, and says how much that is.
      const size_t step = full.sizeSubflowInfoUser;
      for (size_t i = 0; i < std::min<size_t>(full.subflows, kMostSubflows); i++) {
        const uint8_t* const info = infos.data() + i * step;
        SubflowAddrs addrs;
        std::memcpy(&addrs, info + offset, sizeof addrs);
        found.push_back(described(u32At(info), addrs));
      }
      return found;
    }
  }
  SubflowData<SubflowAddrs> addrs;
  if (ask(fd, kSolMptcp, kMptcpSubflowAddrs, &addrs, sizeof addrs) >= 0) {
    for (size_t i = 0; i < std::min<size_t>(addrs.subflows, kMostSubflows); i++)
      found.push_back(described(idOf(addrs.items[i]), addrs.items[i]));
    return found;
  }
  return {{0, socketName(fd), peerName(fd)}};
}

}  // namespace atsss
