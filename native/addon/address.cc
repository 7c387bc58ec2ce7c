#include "address.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "system-error.h"

namespace atsss {

namespace {

/** The index that follows the percent sign, as a name (`eth0`) or a number (`2`); 0 if there is no such interface. */
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

Address parseAddress(const std::string& literal, uint16_t port, const char* syscall) {
  const auto refuse = [&](int number) { throw SystemError(number, syscall, literal, port); };
  // inet_pton() stops at a NUL: it would accept the text before it.
  if (literal.find('\0') != std::string::npos) refuse(EINVAL);

  Address address;
  sockaddr_in v4 = {};
  if (inet_pton(AF_INET, literal.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&address.storage, &v4, sizeof v4);
    address.length = sizeof v4;
    return address;
  }

  sockaddr_in6 v6 = {};
  const size_t percent = literal.find('%');
  if (inet_pton(AF_INET6, literal.substr(0, percent).c_str(), &v6.sin6_addr) != 1) refuse(EINVAL);
  if (percent != std::string::npos) {
    v6.sin6_scope_id = scopeId(literal.substr(percent + 1));
    if (v6.sin6_scope_id == 0) refuse(ENODEV);
  }
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  std::memcpy(&address.storage, &v6, sizeof v6);
  address.length = sizeof v6;
  return address;
}

std::optional<Endpoint> describeAddress(const Address& address) {
  char text[INET6_ADDRSTRLEN];
  if (address.storage.ss_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &address.storage, sizeof v4);
    return Endpoint{inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text), 4, ntohs(v4.sin_port)};
  }
  if (address.storage.ss_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &address.storage, sizeof v6);
    Endpoint endpoint{inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text), 6, ntohs(v6.sin6_port)};
    // As Node does it: a link-local address means nothing without its link.
    if (IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr) && v6.sin6_scope_id != 0)
      endpoint.address += "%" + scopeName(v6.sin6_scope_id);
    return endpoint;
  }
  return std::nullopt;
}

}  // namespace atsss
