// Addresses: their text, and the kernel's sockaddr.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>

namespace atsss {

/** A sockaddr of any family, and its length. */
struct Address {
  sockaddr_storage storage = {};
  socklen_t length = sizeof(sockaddr_storage);

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

/** An address in text: a literal without brackets, the IP version (4 or 6), and a port in host order. */
struct Endpoint {
  std::string address;
  int family = 0;
  uint16_t port = 0;
};

/**
 * Parses a literal: `192.0.2.1`, `2001:db8::1`, `fe80::1%eth0`, `fe80::1%2`. Names are not resolved.
 *
 * @param syscall the call that the address is for, named in the error
 * @throws SystemError EINVAL (not a literal), ENODEV (no such interface)
 */
Address parseAddress(const std::string& literal, uint16_t port, const char* syscall);

/** Nothing if the address is neither IPv4 nor IPv6. */
std::optional<Endpoint> describeAddress(const Address& address);

}  // namespace atsss
