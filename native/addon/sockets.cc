#include "sockets.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "system-error.h"

namespace atsss {

namespace {

/** The kernel's include/net/tcp_states.h, which is not among the headers for user space. */
constexpr uint8_t kTcpSynSent = 2;
/** Descriptors with one datagram. */
constexpr size_t kMostPassed = 16;

template <typename Call>
auto retried(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

int familyOf(int version) { return version == 6 ? AF_INET6 : AF_INET; }

Endpoint described(const Address& address, const char* syscall) {
  const std::optional<Endpoint> endpoint = describeAddress(address);
  if (!endpoint) throw SystemError(EAFNOSUPPORT, syscall);
  return *endpoint;
}

}  // namespace

Descriptor openSocket(int family, int protocol) {
  return opened(::socket(familyOf(family), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol), "socket");
}

Descriptor openDatagramSocket(int family) {
  return opened(::socket(familyOf(family), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
}

void bindSocket(int fd, const std::string& address, uint16_t port) {
  const Address local = parseAddress(address, port, "bind");
  if (::bind(fd, local.get(), local.length) < 0) throw SystemError(errno, "bind", address, port);
}

bool connectSocket(int fd, const std::string& address, uint16_t port) {
  const Address peer = parseAddress(address, port, "connect");
  // Not repeated after EINTR: the kernel goes on connecting, and a second call would fail with EALREADY.
  if (::connect(fd, peer.get(), peer.length) == 0) return true;
  if (errno == EINPROGRESS || errno == EINTR) return false;
  throw SystemError(errno, "connect", address, port);
}

size_t sendFastOpen(int fd, const std::string& address, uint16_t port, Bytes bytes) {
  // Errors name 'connect', as Node's do: it is the connection that failed.
  const Address peer = parseAddress(address, port, "connect");
  const ssize_t taken = retried([&] {
    return ::sendto(fd, bytes.data, bytes.size, MSG_FASTOPEN | MSG_NOSIGNAL | MSG_DONTWAIT, peer.get(), peer.length);
  });
  if (taken >= 0) return static_cast<size_t>(taken);
  if (errno == EINPROGRESS) return 0;
  throw SystemError(errno, "connect", address, port);
}

size_t sendBytes(int fd, Bytes bytes) {
  const ssize_t taken = retried([&] { return ::send(fd, bytes.data, bytes.size, MSG_NOSIGNAL | MSG_DONTWAIT); });
  if (taken >= 0) return static_cast<size_t>(taken);
  if (errno == EAGAIN) return 0;
  throw SystemError(errno, "send");
}

void shutdownSocket(int fd) {
  if (::shutdown(fd, SHUT_WR) < 0) throw SystemError(errno, "shutdown");
}

Descriptor duplicateDescriptor(int fd) { return opened(::fcntl(fd, F_DUPFD_CLOEXEC, 0), "fcntl"); }

void replaceDescriptor(int fd, int over) {
  if (retried([&] { return ::dup3(fd, over, O_CLOEXEC); }) < 0) throw SystemError(errno, "dup3");
}

std::pair<Descriptor, Descriptor> openSocketPair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
    throw SystemError(errno, "socketpair");
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

Descriptor openPacketSocket() {
  return opened(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
}

void connectToPath(int fd, const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) throw SystemError(ENAMETOOLONG, "connect");
  std::memcpy(address.sun_path, path.data(), path.size());
  if (retried([&] { return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address); }) < 0)
    throw SystemError(errno, "connect");
}

bool sendDatagram(int fd, Bytes bytes, const std::vector<int>& passed) {
  const size_t size = passed.size() * sizeof(int);
  iovec from = {const_cast<uint8_t*>(bytes.data), bytes.size};
  alignas(cmsghdr) char control[CMSG_SPACE(kMostPassed * sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &from;
  message.msg_iovlen = 1;
  if (passed.size() > kMostPassed) throw SystemError(EINVAL, "sendmsg");
  if (!passed.empty()) {
    message.msg_control = control;
    // Of another width in musl than in glibc.
    message.msg_controllen = static_cast<decltype(message.msg_controllen)>(CMSG_SPACE(size));
    cmsghdr* const rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = static_cast<decltype(rights->cmsg_len)>(CMSG_LEN(size));
    std::memcpy(CMSG_DATA(rights), passed.data(), size);
  }
  if (retried([&] { return ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT); }) >= 0) return true;
  if (errno == EAGAIN) return false;
  throw SystemError(errno, "sendmsg");
}

std::optional<std::vector<uint8_t>> receiveDatagram(int fd, size_t maxLength) {
  std::vector<uint8_t> bytes(maxLength);
  const ssize_t size = retried([&] { return ::recv(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_TRUNC); });
  if (size < 0) {
    if (errno == EAGAIN) return std::nullopt;
    throw SystemError(errno, "recv");
  }
  if (static_cast<size_t>(size) > maxLength) throw SystemError(EMSGSIZE, "recv");
  bytes.resize(static_cast<size_t>(size));
  return bytes;
}

int unreadBytes(int fd) {
  int bytes = 0;
  if (::ioctl(fd, FIONREAD, &bytes) < 0) throw SystemError(errno, "ioctl");
  return bytes;
}

void listenSocket(int fd, int backlog) {
  if (::listen(fd, backlog) < 0) throw SystemError(errno, "listen");
}

Descriptor acceptSocket(int fd) {
  const int accepted = retried([&] { return ::accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC); });
  if (accepted < 0 && errno == EAGAIN) return Descriptor();
  return opened(accepted, "accept");
}

void attachFilter(int fd, Bytes program) {
  // Copied: a JavaScript array need not be aligned.
  std::vector<sock_filter> instructions(program.size / sizeof(sock_filter));
  if (!instructions.empty()) std::memcpy(instructions.data(), program.data, instructions.size() * sizeof(sock_filter));
  const sock_fprog filter = {static_cast<unsigned short>(instructions.size()), instructions.data()};
  if (program.size != filter.len * sizeof(sock_filter)) throw SystemError(EINVAL, "setsockopt");
  if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) < 0)
    throw SystemError(errno, "setsockopt");
}

void closeDescriptor(Descriptor descriptor) {
  // Not repeated after EINTR: Linux has closed the descriptor, and its number may be in use again.
  if (::close(descriptor.release()) < 0 && errno != EINTR) throw SystemError(errno, "close");
}

void setResetOnClose(int fd) {
  const linger none = {1, 0};
  if (::setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none) < 0) throw SystemError(errno, "setsockopt");
}

std::vector<uint8_t> getOption(int fd, int level, int name, size_t maxLength) {
  std::vector<uint8_t> value(maxLength);
  auto length = static_cast<socklen_t>(maxLength);
  if (::getsockopt(fd, level, name, value.data(), &length) < 0) throw SystemError(errno, "getsockopt");
  if (length < value.size()) value.resize(length);
  return value;
}

std::optional<int> getIntOption(int fd, int level, int name) {
  int value = 0;
  socklen_t length = sizeof value;
  if (::getsockopt(fd, level, name, &value, &length) == 0) return value;
  if (errno == EOPNOTSUPP || errno == ENOPROTOOPT) return std::nullopt;
  throw SystemError(errno, "getsockopt");
}

void setOption(int fd, int level, int name, Bytes value) {
  if (::setsockopt(fd, level, name, value.data, static_cast<socklen_t>(value.size)) < 0)
    throw SystemError(errno, "setsockopt");
}

Endpoint socketName(int fd) {
  Address address;
  if (::getsockname(fd, address.get(), &address.length) < 0) throw SystemError(errno, "getsockname");
  return described(address, "getsockname");
}

Endpoint peerName(int fd) {
  Address address;
  if (::getpeername(fd, address.get(), &address.length) < 0) throw SystemError(errno, "getpeername");
  return described(address, "getpeername");
}

HandshakeProgress handshakeProgress(int fd) {
  // A later kernel's struct tcp_info is longer, an earlier one's shorter: what it does not write stays 0.
  tcp_info info = {};
  socklen_t length = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0) return {};
  return {info.tcpi_state == kTcpSynSent, info.tcpi_bytes_acked};
}

int socketError(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

}  // namespace atsss
