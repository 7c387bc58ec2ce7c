// Addresses between their text and the kernel's sockaddr.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>

namespace atsss {

/** A sockaddr of any family, and how much of it counts. */
struct Address {
  sockaddr_storage storage = {};
  socklen_t length = sizeof(sockaddr_storage);

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

/** An address in words: a literal without brackets, IP version 4 or 6, a port in host order. */
struct Endpoint {
  std::string address;
  int family = 0;
  uint16_t port = 0;
};

/**
 * Reads a literal: `192.0.2.1`, `2001:db8::1`, `fe80::1%eth0`, `fe80::1%2`. Names are not looked up.
 * @returns 0, or EINVAL (no such literal), or ENODEV (no such interface)
 */
int parseAddress(const std::string& literal, uint16_t port, Address* address);

/** @returns 0, or EAFNOSUPPORT when it is neither IPv4 nor IPv6 */
int describeAddress(const Address& address, Endpoint* endpoint);

}  // namespace atsss
