#include "netlink.h"

#include <linux/netlink.h>
#include <sys/socket.h>

#include <cerrno>

#include "system-error.h"

namespace atsss {

namespace {

sockaddr_nl kernelAddress() {
  sockaddr_nl address = {};
  address.nl_family = AF_NETLINK;
  return address;
}

}  // namespace

Descriptor openNetlink(int protocol, uint32_t groups) {
  Descriptor netlink = opened(::socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol), "socket");
  sockaddr_nl local = kernelAddress();
  local.nl_groups = groups;
  if (::bind(netlink.get(), reinterpret_cast<const sockaddr*>(&local), sizeof local) < 0)
    throw SystemError(errno, "bind");
  return netlink;
}

void sendNetlink(int fd, Bytes message) {
  const sockaddr_nl kernel = kernelAddress();
  ssize_t sent = -1;
  do {
    sent = ::sendto(fd, message.data, message.size, 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) throw SystemError(errno, "sendto");
}

std::optional<size_t> receiveNetlink(int fd, std::array<uint8_t, kLargestDatagram>& into) {
  for (;;) {
    sockaddr_nl from = {};
    socklen_t length = sizeof from;
    const ssize_t received =
        ::recvfrom(fd, into.data(), into.size(), MSG_DONTWAIT | MSG_TRUNC, reinterpret_cast<sockaddr*>(&from), &length);
    if (received < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return std::nullopt;
      throw SystemError(errno, "recvfrom");
    }
    // Any process may send to any port of its namespace; the kernel's own port is 0.
    if (from.nl_family != AF_NETLINK || from.nl_pid != 0) continue;
    const auto size = static_cast<size_t>(received);
    if (size > into.size()) throw SystemError(EMSGSIZE, "recvfrom");
    return size;
  }
}

}  // namespace atsss
