#include "interfaces.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace atsss {

namespace {

constexpr uint8_t kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool isSame(const sockaddr* there, const WireAddress& address) {
  if (there == nullptr) return false;
  const bool isMapped = address.family == 6 && std::memcmp(address.bytes, kMappedPrefix, sizeof kMappedPrefix) == 0;
  if (there->sa_family == AF_INET && (address.family == 4 || isMapped)) {
    const uint8_t* const bytes = address.bytes + (isMapped ? sizeof kMappedPrefix : 0);
    return std::memcmp(&reinterpret_cast<const sockaddr_in*>(there)->sin_addr, bytes, sizeof(in_addr)) == 0;
  }
  if (there->sa_family == AF_INET6 && address.family == 6)
    return std::memcmp(&reinterpret_cast<const sockaddr_in6*>(there)->sin6_addr, address.bytes, sizeof(in6_addr)) == 0;
  return false;
}

}  // namespace

bool AllowedInterfaces::allow(int interfaceIndex, const WireAddress& address) const {
  if (names_.empty()) return true;
  if (interfaceIndex != 0) {
    char name[IF_NAMESIZE];
    if (::if_indextoname(static_cast<unsigned>(interfaceIndex), name) == nullptr || !has(name)) return false;
  }
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return false;
  bool allowed = true;
  bool isThere = false;
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    if (!isSame(one->ifa_addr, address)) continue;
    // Link-local addresses may be on several interfaces.
    if (!isThere) allowed = false;
    isThere = true;
    allowed = allowed || has(one->ifa_name);
  }
  ::freeifaddrs(all);
  return allowed;
}

bool AllowedInterfaces::has(const char* name) const {
  return std::find(names_.begin(), names_.end(), name) != names_.end();
}

}  // namespace atsss
