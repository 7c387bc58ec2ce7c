// The administrator's list of interfaces.
#pragma once

#include <string>
#include <vector>

#include "protocol.h"

namespace atsss {

class AllowedInterfaces {
 public:
  /** @param names empty: all interfaces are allowed */
  explicit AllowedInterfaces(std::vector<std::string> names) : names_(std::move(names)) {}

  /**
   * Whether subflows may use this interface (0: none is named), and this address: one that another interface has is not
   * allowed either, since the peer's subflows to it would come in there.
   */
  bool allow(int interfaceIndex, const WireAddress& address) const;

 private:
  bool has(const char* name) const;

  std::vector<std::string> names_;
};

}  // namespace atsss
