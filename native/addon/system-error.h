// What the addon throws when a system call fails.
#pragma once

#include <cstdint>
#include <string>
#include <system_error>
#include <utility>

#include "../descriptor.h"

namespace atsss {

/** A failed system call. `results.h` turns it into a JavaScript error. */
class SystemError : public std::system_error {
 public:
  /** @param number as in errno.h: positive */
  SystemError(int number, const char* syscall) : std::system_error(number, std::generic_category(), syscall) {
    syscall_ = syscall;
  }
  /** @param address the peer's or the local address of the call */
  SystemError(int number, const char* syscall, std::string address, uint16_t port) : SystemError(number, syscall) {
    address_ = std::move(address);
    port_ = port;
  }

  int number() const { return code().value(); }
  const char* syscall() const { return syscall_; }
  /** Empty if the call had no address. */
  const std::string& address() const { return address_; }
  uint16_t port() const { return port_; }

 private:
  const char* syscall_;
  std::string address_;
  uint16_t port_ = 0;
};

/** Takes a descriptor that `syscall` has just returned; throws if it returned an error instead. */
Descriptor opened(int fd, const char* syscall);

}  // namespace atsss
