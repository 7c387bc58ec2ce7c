#include "sampler.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>

#include "sockets.h"
#include "system-error.h"

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

/** The fields of struct tcp_info that are read lie in its first bytes; every kernel with MPTCP has all of them. */
using TcpInfoBytes = std::array<uint8_t, 216>;

/** struct mptcp_info, with room to grow. */
using MptcpInfoBytes = std::array<uint8_t, 256>;

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

/** A connection as the kernel tells it. What is not said to be there is left as it was. */
struct Connection {
  MptcpInfoBytes info;
  size_t infoLength = 0;
  size_t subflows = 0;
  std::array<double, kMostSubflows> ids;
  std::array<uint16_t, kMostSubflows> localPorts;
  std::array<TcpInfoBytes, kMostSubflows> tcpInfo;
};

/** @returns how many bytes the kernel wrote, or less than 0 (errno) */
int ask(int fd, int level, int name, void* into, size_t room) {
  auto length = static_cast<socklen_t>(room);
  if (::getsockopt(fd, level, name, into, &length) < 0) return -1;
  return static_cast<int>(length);
}

template <typename Value>
Value at(const uint8_t* bytes, size_t offset) {
  Value value;
  std::memcpy(&value, bytes + offset, sizeof value);
  return value;
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

bool askInParts(int fd, Connection& connection) {
  const int length = ask(fd, kSolMptcp, kMptcpInfo, connection.info.data(), connection.info.size());
  if (length < 0) return false;
  SubflowData<SubflowAddrs> addrs;
  SubflowData<TcpInfoBytes> infos;
  if (ask(fd, kSolMptcp, kMptcpSubflowAddrs, &addrs, sizeof addrs) < 0) return false;
  if (ask(fd, kSolMptcp, kMptcpTcpInfo, &infos, sizeof infos) < 0) return false;

  connection.infoLength = static_cast<size_t>(length);
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
  connection.infoLength = 0;
  connection.subflows = 0;
  if (ask(fd, IPPROTO_TCP, TCP_INFO, connection.tcpInfo[0].data(), sizeof(TcpInfoBytes)) < 0) return false;
  Address local;
  connection.localPorts[0] =
      ::getsockname(fd, local.get(), &local.length) == 0 ? portOf(local.storage) : static_cast<uint16_t>(0);
  connection.ids[0] = 0;
  connection.subflows = 1;
  return true;
}

/** @returns 0, EOPNOTSUPP for TCP, or why nothing is known */
int askAny(int fd, Connection& connection, Asking& asking) {
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

/** Writes the fields of one record, whichever enum numbers them. */
template <typename Field>
class Record {
 public:
  explicit Record(double* out) : out_(out) {}
  template <typename Value>
  void set(Field field, Value value) {
    out_[static_cast<size_t>(field)] = static_cast<double>(value);
  }

 private:
  double* const out_;
};

void writeSocket(int fd, int error, const Connection& connection, double* out) {
  Record<SocketField> record(out);
  record.set(SocketField::fd, fd);
  record.set(SocketField::errorNumber, error);
  record.set(SocketField::subflows, connection.subflows);

  const uint8_t* const info = connection.info.data();
  const auto number = [&](SocketField field, size_t offset, auto type) {
    using Value = decltype(type);
    const bool there = offset + sizeof(Value) <= connection.infoLength;
    record.set(field, there ? static_cast<double>(at<Value>(info, offset)) : std::nan(""));
  };
  // Offsets in struct mptcp_info.
  constexpr size_t kToken = 12, kWriteSeq = 16, kSndUna = 24;
  record.set(SocketField::token, kToken + 4 <= connection.infoLength ? at<uint32_t>(info, kToken) : 0);
  const bool sequences = kSndUna + 8 <= connection.infoLength;
  record.set(SocketField::outstanding, sequences ? static_cast<double>(at<uint64_t>(info, kWriteSeq) -
                                                                       at<uint64_t>(info, kSndUna))
                                                 : std::nan(""));
  number(SocketField::retransmits, 44, uint32_t());
  number(SocketField::bytesRetrans, 48, uint64_t());
  number(SocketField::bytesSent, 56, uint64_t());
  number(SocketField::bytesReceived, 64, uint64_t());
  number(SocketField::bytesAcked, 72, uint64_t());
  number(SocketField::lastDataSent, 84, uint32_t());
  number(SocketField::lastDataRecv, 88, uint32_t());
  number(SocketField::lastAckRecv, 92, uint32_t());
}

void writeSubflow(double id, uint16_t localPort, const TcpInfoBytes& bytes, double* out) {
  Record<SubflowField> record(out);
  record.set(SubflowField::id, id);
  record.set(SubflowField::localPort, localPort);
  // Offsets in struct tcp_info.
  const uint8_t* const info = bytes.data();
  record.set(SubflowField::state, info[0]);
  record.set(SubflowField::retransmits, info[2]);
  record.set(SubflowField::unacked, at<uint32_t>(info, 24));
  record.set(SubflowField::lost, at<uint32_t>(info, 32));
  record.set(SubflowField::lastDataSent, at<uint32_t>(info, 44));
  record.set(SubflowField::lastDataRecv, at<uint32_t>(info, 52));
  record.set(SubflowField::lastAckRecv, at<uint32_t>(info, 56));
  record.set(SubflowField::rtt, at<uint32_t>(info, 68));
  record.set(SubflowField::rttvar, at<uint32_t>(info, 72));
  record.set(SubflowField::sndCwnd, at<uint32_t>(info, 80));
  record.set(SubflowField::totalRetrans, at<uint32_t>(info, 100));
  record.set(SubflowField::pacingRate, at<uint64_t>(info, 104));
  record.set(SubflowField::bytesAcked, at<uint64_t>(info, 120));
  record.set(SubflowField::bytesReceived, at<uint64_t>(info, 128));
  record.set(SubflowField::notsentBytes, at<uint32_t>(info, 144));
  record.set(SubflowField::minRtt, at<uint32_t>(info, 148));
  record.set(SubflowField::deliveryRate, at<uint64_t>(info, 160));
  record.set(SubflowField::bytesSent, at<uint64_t>(info, 200));
  record.set(SubflowField::bytesRetrans, at<uint64_t>(info, 208));
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

size_t sampleSockets(const int32_t* fds, size_t count, double* out, size_t room, Asking asking) {
  Connection connection;
  double* const end = out + room;
  for (size_t i = 0; i < count; i++) {
    if (static_cast<size_t>(end - out) < kMostDoubles) return i;
    connection.infoLength = 0;
    connection.subflows = 0;
    const int error = askAny(fds[i], connection, asking);
    writeSocket(fds[i], error, connection, out);
    out += static_cast<size_t>(SocketField::count);
    for (size_t k = 0; k < connection.subflows; k++) {
      writeSubflow(connection.ids[k], connection.localPorts[k], connection.tcpInfo[k], out);
      out += static_cast<size_t>(SubflowField::count);
    }
  }
  return count;
}

std::vector<SubflowEndpoints> subflowEndpoints(int fd, Asking asking) {
  std::vector<SubflowEndpoints> found;
  if (asking == Asking::whole) {
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
