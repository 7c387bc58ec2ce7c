// The kernel's family `mptcp_pm` of generic netlink: include/uapi/linux/{mptcp,mptcp_pm,genetlink}.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../descriptor.h"
#include "protocol.h"

namespace atsss {

/** As the kernel numbers it in this boot. */
struct PathManagerFamily {
  uint16_t id = 0;
  /** The multicast group of events. */
  uint32_t events = 0;
};

/** The kernel's answer to a command. */
struct Outcome {
  /** An errno; 0: done. */
  int error = 0;
  /** The kernel's explanation, if it has one. */
  char words[128] = {};
};

/** Ends the process if the kernel has no such family, or does not let this process use it. */
PathManagerFamily findPathManager();

/** A netlink socket for commands. */
Descriptor openCommands();
/** A netlink socket that receives the events of the namespace. While there is one, peers can begin subflows. */
Descriptor openEvents(const PathManagerFamily& family);

/** The command of a request that has one, checked before. */
Outcome carryOut(int commands, const PathManagerFamily& family, const Request& request);

/** One event: the bytes from the generic netlink header on. */
struct Event {
  uint8_t command = 0;
  uint32_t token = 0;
  const uint8_t* bytes = nullptr;
  size_t size = 0;
};

/** Reads one datagram and takes its events in turn. */
class EventReader {
 public:
  enum class Read { nothing, events, lost };
  Read read(int events);
  /** @returns false: no more in this datagram */
  bool next(const PathManagerFamily& family, Event& event);

 private:
  size_t size_ = 0;
  size_t at_ = 0;
  alignas(8) uint8_t datagram_[16384];
};

constexpr uint8_t kEventClosed = 3;
constexpr uint8_t kEventAnnounced = 6;

}  // namespace atsss
