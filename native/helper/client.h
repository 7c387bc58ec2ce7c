// One client: a process of its own serves it, so that nothing that it sends, and nothing that it does not read, delays
// others. Closing a descriptor that it has passed may take for ever.
#pragma once

#include <sys/socket.h>

#include "../descriptor.h"
#include "interfaces.h"
#include "path-manager.h"
#include "refusal.h"
#include "usage.h"

namespace atsss {

struct ClientSettings {
  PathManagerFamily family;
  uint64_t namespaceCookie = 0;
  AllowedInterfaces interfaces{{}};
  Quota quota;
};

/** Until the client has gone, or has to. @param slot of the client in `usage` */
void serveClient(Descriptor socket, const ucred& who, const ClientSettings& settings, Usage& usage, int slot);

/** Sends the refusal, if the client reads. */
void refuseClient(int socket, const Refusal& refusal);

}  // namespace atsss
