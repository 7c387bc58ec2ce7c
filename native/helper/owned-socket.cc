#include "owned-socket.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>

namespace atsss {

namespace {

// Headers may be older than the kernel.
constexpr int kSoNetnsCookie = 71;
constexpr int kIpprotoMptcp = 262;
constexpr int kSolMptcp = 284;
constexpr int kMptcpInfo = 1;
/** `mptcpi_token` in struct mptcp_info. */
constexpr size_t kTokenAt = 12;

bool intOption(int fd, int name, int& value) {
  socklen_t length = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, name, &value, &length) == 0;
}

bool readCookie(int fd, uint64_t& cookie) {
  socklen_t length = sizeof cookie;
  return ::getsockopt(fd, SOL_SOCKET, kSoNetnsCookie, &cookie, &length) == 0;
}

}  // namespace

uint64_t namespaceCookie(int fd) {
  uint64_t cookie = 0;
  if (readCookie(fd, cookie)) return cookie;
  std::perror("SO_NETNS_COOKIE");
  std::exit(1);
}

std::optional<Refusal> whyNotOwned(int fd, uint32_t token, uint64_t cookie) {
  int domain = 0;
  int type = 0;
  int protocol = 0;
  const bool isSocket =
      intOption(fd, SO_DOMAIN, domain) && intOption(fd, SO_TYPE, type) && intOption(fd, SO_PROTOCOL, protocol);
  const bool isMptcp = (domain == AF_INET || domain == AF_INET6) && type == SOCK_STREAM && protocol == kIpprotoMptcp;
  if (!isSocket || !isMptcp) return kNotMptcp;
  uint64_t its = 0;
  if (!readCookie(fd, its) || its != cookie) return kOtherNamespace;
  alignas(uint32_t) unsigned char info[96] = {};
  socklen_t length = sizeof info;
  // It has fallen back to TCP.
  if (::getsockopt(fd, kSolMptcp, kMptcpInfo, info, &length) != 0 || length < kTokenAt + sizeof token) return kNotMptcp;
  uint32_t itsToken = 0;
  __builtin_memcpy(&itsToken, info + kTokenAt, sizeof itsToken);
  // For the kernel a token of 0 is none: its commands would then change the endpoints of all connections.
  if (itsToken == 0) return kNotConnected;
  if (itsToken != token) return kOtherToken;
  return std::nullopt;
}

}  // namespace atsss
