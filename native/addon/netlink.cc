#include "netlink.h"

#include <linux/netlink.h>
#include <sys/socket.h>

#include <cerrno>

#include "system-error.h"

namespace atsss {

int openNetlink(int protocol) {
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  if (fd < 0) throw SystemError{errno, "socket"};
  return fd;
}

void bindNetlink(int fd, uint32_t groups) {
  sockaddr_nl local = {};
  local.nl_family = AF_NETLINK;
  local.nl_groups = groups;
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&local), sizeof local) < 0) throw SystemError{errno, "bind"};
}

void sendNetlink(int fd, Bytes message) {
  sockaddr_nl kernel = {};
  kernel.nl_family = AF_NETLINK;
  ssize_t sent;
  do {
    sent = ::sendto(fd, message.data, message.size, 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) throw SystemError{errno, "sendto"};
}

std::optional<size_t> receiveNetlink(int fd, std::array<uint8_t, kLargestDatagram>& into) {
  for (;;) {
    sockaddr_nl from = {};
    socklen_t length = sizeof from;
    const ssize_t received = ::recvfrom(fd, into.data(), into.size(), MSG_DONTWAIT | MSG_TRUNC,
                                        reinterpret_cast<sockaddr*>(&from), &length);
    if (received < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return std::nullopt;
      throw SystemError{errno, "recvfrom"};
    }
    // Any process may send to any port of its namespace; the kernel's own is 0.
    if (from.nl_family != AF_NETLINK || from.nl_pid != 0) continue;
    const auto size = static_cast<size_t>(received);
    if (size > into.size()) throw SystemError{EMSGSIZE, "recvfrom"};
    return size;
  }
}

}  // namespace atsss
