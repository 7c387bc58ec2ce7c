#include "address.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace atsss {

namespace {

/** `%eth0` or `%2` without the percent sign; 0 when there is no such interface. */
uint32_t scopeId(const std::string& scope) {
  const bool digits = !scope.empty() && scope.size() < 10 &&
                      std::all_of(scope.begin(), scope.end(), [](char c) { return c >= '0' && c <= '9'; });
  return digits ? static_cast<uint32_t>(std::stoul(scope)) : if_nametoindex(scope.c_str());
}

std::string scopeName(uint32_t id) {
  char name[IF_NAMESIZE];
  return if_indextoname(id, name) ? std::string(name) : std::to_string(id);
}

}  // namespace

int parseAddress(const std::string& literal, uint16_t port, Address* address) {
  // inet_pton() stops at a NUL, and would take what stands before it for the whole.
  if (literal.find('\0') != std::string::npos) return EINVAL;

  sockaddr_in v4 = {};
  if (inet_pton(AF_INET, literal.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&address->storage, &v4, sizeof v4);
    address->length = sizeof v4;
    return 0;
  }

  sockaddr_in6 v6 = {};
  const size_t percent = literal.find('%');
  if (inet_pton(AF_INET6, literal.substr(0, percent).c_str(), &v6.sin6_addr) != 1) return EINVAL;
  if (percent != std::string::npos) {
    v6.sin6_scope_id = scopeId(literal.substr(percent + 1));
    if (v6.sin6_scope_id == 0) return ENODEV;
  }
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  std::memcpy(&address->storage, &v6, sizeof v6);
  address->length = sizeof v6;
  return 0;
}

int describeAddress(const Address& address, Endpoint* endpoint) {
  char text[INET6_ADDRSTRLEN];
  if (address.storage.ss_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &address.storage, sizeof v4);
    *endpoint = {inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text), 4, ntohs(v4.sin_port)};
    return 0;
  }
  if (address.storage.ss_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &address.storage, sizeof v6);
    *endpoint = {inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text), 6, ntohs(v6.sin6_port)};
    // As Node does: an address of one link is nothing without the link.
    if (IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr) && v6.sin6_scope_id != 0)
      endpoint->address += "%" + scopeName(v6.sin6_scope_id);
    return 0;
  }
  return EAFNOSUPPORT;
}

}  // namespace atsss
