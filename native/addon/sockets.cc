#include "sockets.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "system-error.h"

namespace atsss {

namespace {

template <typename Call>
auto retried(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

Address parsed(const char* syscall, const std::string& address, uint16_t port) {
  Address to;
  if (const int error = parseAddress(address, port, &to)) throw SystemError{error, syscall, address, port};
  return to;
}

Endpoint described(const char* syscall, const Address& address) {
  Endpoint endpoint;
  if (const int error = describeAddress(address, &endpoint)) throw SystemError{error, syscall};
  return endpoint;
}

}  // namespace

int openSocket(int family, int protocol) {
  const int fd = ::socket(family == 6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  if (fd < 0) throw SystemError{errno, "socket"};
  return fd;
}

int openDatagramSocket(int family) {
  const int fd = ::socket(family == 6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) throw SystemError{errno, "socket"};
  return fd;
}

void bindSocket(int fd, const std::string& address, uint16_t port) {
  const Address local = parsed("bind", address, port);
  if (::bind(fd, local.get(), local.length) < 0) throw SystemError{errno, "bind", address, port};
}

bool connectSocket(int fd, const std::string& address, uint16_t port) {
  const Address peer = parsed("connect", address, port);
  // Not again after EINTR: the connection is being made all the same, and the second call would say EALREADY.
  if (::connect(fd, peer.get(), peer.length) == 0) return true;
  if (errno == EINPROGRESS || errno == EINTR) return false;
  throw SystemError{errno, "connect", address, port};
}

size_t sendFastOpen(int fd, const std::string& address, uint16_t port, Bytes bytes) {
  // Errors are called 'connect', as Node calls them: it is the connection that cannot be made.
  const Address peer = parsed("connect", address, port);
  const ssize_t taken = retried([&] {
    return ::sendto(fd, bytes.data, bytes.size, MSG_FASTOPEN | MSG_NOSIGNAL | MSG_DONTWAIT, peer.get(), peer.length);
  });
  if (taken >= 0) return static_cast<size_t>(taken);
  if (errno == EINPROGRESS) return 0;
  throw SystemError{errno, "connect", address, port};
}

size_t sendBytes(int fd, Bytes bytes) {
  const ssize_t taken = retried([&] { return ::send(fd, bytes.data, bytes.size, MSG_NOSIGNAL | MSG_DONTWAIT); });
  if (taken >= 0) return static_cast<size_t>(taken);
  if (errno == EAGAIN) return 0;
  throw SystemError{errno, "send"};
}

void shutdownSocket(int fd) {
  if (::shutdown(fd, SHUT_WR) < 0) throw SystemError{errno, "shutdown"};
}

int duplicateDescriptor(int fd) {
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) throw SystemError{errno, "fcntl"};
  return copy;
}

int unreadBytes(int fd) {
  int bytes = 0;
  if (::ioctl(fd, FIONREAD, &bytes) < 0) throw SystemError{errno, "ioctl"};
  return bytes;
}

void listenSocket(int fd, int backlog) {
  if (::listen(fd, backlog) < 0) throw SystemError{errno, "listen"};
}

int acceptSocket(int fd) {
  const int accepted = retried([&] { return ::accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC); });
  if (accepted < 0 && errno != EAGAIN) throw SystemError{errno, "accept"};
  return accepted;
}

void attachFilter(int fd, Bytes program) {
  // Copied, since an array of JavaScript's need not be aligned.
  std::vector<sock_filter> instructions(program.size / sizeof(sock_filter));
  if (!instructions.empty()) std::memcpy(instructions.data(), program.data, instructions.size() * sizeof(sock_filter));
  const sock_fprog filter = {static_cast<unsigned short>(instructions.size()), instructions.data()};
  if (program.size != filter.len * sizeof(sock_filter)) throw SystemError{EINVAL, "setsockopt"};
  if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) < 0) throw SystemError{errno, "setsockopt"};
}

void closeSocket(int fd) {
  // Not again after EINTR: on Linux the descriptor is gone, and the number may be another's already.
  if (::close(fd) < 0 && errno != EINTR) throw SystemError{errno, "close"};
}

void lingerNot(int fd) {
  const linger none = {1, 0};
  if (::setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none) < 0) throw SystemError{errno, "setsockopt"};
}

std::vector<uint8_t> getOption(int fd, int level, int name, size_t maxLength) {
  std::vector<uint8_t> value(maxLength);
  auto length = static_cast<socklen_t>(maxLength);
  if (::getsockopt(fd, level, name, value.data(), &length) < 0) throw SystemError{errno, "getsockopt"};
  if (length < value.size()) value.resize(length);
  return value;
}

void setOption(int fd, int level, int name, Bytes value) {
  if (::setsockopt(fd, level, name, value.data, static_cast<socklen_t>(value.size)) < 0)
    throw SystemError{errno, "setsockopt"};
}

Endpoint socketName(int fd) {
  Address address;
  if (::getsockname(fd, address.get(), &address.length) < 0) throw SystemError{errno, "getsockname"};
  return described("getsockname", address);
}

Endpoint peerName(int fd) {
  Address address;
  if (::getpeername(fd, address.get(), &address.length) < 0) throw SystemError{errno, "getpeername"};
  return described("getpeername", address);
}

TcpInfo tcpInfo(int fd) {
  // By offset: the struct grows with every kernel, and the C library's copy of it is an early one.
  constexpr size_t kState = 0;
  constexpr size_t kBytesAcked = 120;
  uint8_t raw[kBytesAcked + sizeof(uint64_t)] = {};
  socklen_t length = sizeof raw;
  TcpInfo info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, raw, &length) < 0) return info;
  info.state = raw[kState];
  std::memcpy(&info.bytesAcked, raw + kBytesAcked, sizeof info.bytesAcked);
  return info;
}

int socketError(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

}  // namespace atsss
