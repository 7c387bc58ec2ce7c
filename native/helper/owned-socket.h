// The MPTCP socket that comes with a request: the proof that the client owns the connection.
#pragma once

#include <cstdint>
#include <optional>

#include "refusal.h"

namespace atsss {

/** Of the network namespace of a socket. Ends the process where the kernel does not say. */
uint64_t namespaceCookie(int fd);

/** Why the socket in `fd` is not the connection with this token, in the namespace with this cookie. */
std::optional<Refusal> whyNotOwned(int fd, uint32_t token, uint64_t cookie);

}  // namespace atsss
