// How much each user takes of the helper. In memory that all its processes share.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>

namespace atsss {

struct Quota {
  uint32_t clientsOfUser = 16;
  uint32_t socketsOfUser = 4096;
  /** In the long run. A user may be ahead of it by `burst` requests, as in a handover of all connections. */
  uint32_t requestsPerSecond = 2000;
  uint32_t burst = 20000;
};

constexpr size_t kMostClients = 128;

class Usage {
 public:
  /** In memory that is shared with processes that are forked later. Never freed. */
  static Usage& shared();

  // By the parent.

  /** @returns the number of the client's slot, or -1: the user has too many, or the helper has */
  int take(uid_t uid, const Quota& quota);
  void own(int slot, pid_t process) { clients_[static_cast<size_t>(slot)].process = process; }
  void release(int slot);
  /** The client of a process that has ended; -1: none. */
  int slotOf(pid_t process) const;

  // By the process of the client in this slot.

  /** @returns false if the user has as many already, over all clients */
  bool addSocket(int slot, const Quota& quota);
  void removeSocket(int slot) { clients_[static_cast<size_t>(slot)].sockets--; }
  /**
   * Counts requests of the user.
   *
   * @param now nanoseconds of a clock that all processes share
   * @returns when they may be carried out
   */
  int64_t countRequests(int slot, uint32_t requests, const Quota& quota, int64_t now);

 private:
  struct Client {
    pid_t process = 0;
    uid_t uid = 0;
    /** Into `users_`; -1: the slot is free. */
    int user = -1;
    std::atomic<uint32_t> sockets{0};
  };
  /** Of a user with clients. */
  struct User {
    uid_t uid = 0;
    /** When all requests so far would be done at the rate that is allowed. */
    std::atomic<int64_t> busyUntil{0};
  };

  int userOf(uid_t uid) const;

  std::array<Client, kMostClients> clients_;
  std::array<User, kMostClients> users_;
};

}  // namespace atsss
