#include "usage.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <new>

namespace atsss {

Usage& Usage::shared() {
  void* memory = ::mmap(nullptr, sizeof(Usage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("mmap");
    std::exit(1);
  }
  return *new (memory) Usage;
}

int Usage::take(uid_t uid, const Quota& quota) {
  uint32_t own = 0;
  int free = -1;
  for (size_t i = 0; i < kMostClients; i++) {
    if (clients_[i].user < 0) free = static_cast<int>(i);
    else if (clients_[i].uid == uid) own++;
  }
  if (free < 0 || own >= quota.clientsOfUser) return -1;
  Client& client = clients_[static_cast<size_t>(free)];
  client.uid = uid;
  client.user = userOf(uid);
  User& user = users_[static_cast<size_t>(client.user)];
  if (user.uid != uid) user.busyUntil = 0;
  user.uid = uid;
  return free;
}

void Usage::release(int slot) {
  Client& client = clients_[static_cast<size_t>(slot)];
  client.process = 0;
  client.user = -1;
  client.sockets = 0;
}

/** The user's entry, else one that no client's user has. There are as many entries as clients. */
int Usage::userOf(uid_t uid) const {
  std::array<bool, kMostClients> taken = {};
  for (const Client& client : clients_) {
    if (client.user < 0) continue;
    if (client.uid == uid) return client.user;
    taken[static_cast<size_t>(client.user)] = true;
  }
  // A user who comes back has the same entry: connecting again saves no waiting.
  for (size_t i = 0; i < kMostClients; i++)
    if (!taken[i] && users_[i].uid == uid) return static_cast<int>(i);
  for (size_t i = 0; i < kMostClients; i++)
    if (!taken[i]) return static_cast<int>(i);
  return 0;
}

int Usage::slotOf(pid_t process) const {
  for (size_t i = 0; i < kMostClients; i++)
    if (clients_[i].user >= 0 && clients_[i].process == process) return static_cast<int>(i);
  return -1;
}

bool Usage::addSocket(int slot, const Quota& quota) {
  Client& own = clients_[static_cast<size_t>(slot)];
  own.sockets++;
  uint32_t sum = 0;
  for (const Client& client : clients_)
    if (client.user >= 0 && client.uid == own.uid) sum += client.sockets;
  if (sum <= quota.socketsOfUser) return true;
  own.sockets--;
  return false;
}

int64_t Usage::countRequests(int slot, uint32_t requests, const Quota& quota, int64_t now) {
  std::atomic<int64_t>& busyUntil = users_[static_cast<size_t>(clients_[static_cast<size_t>(slot)].user)].busyUntil;
  const int64_t each = 1'000'000'000 / quota.requestsPerSecond;
  int64_t before = busyUntil.load();
  int64_t after = 0;
  do after = (before > now ? before : now) + each * requests;
  while (!busyUntil.compare_exchange_weak(before, after));
  return after - each * quota.burst;
}

}  // namespace atsss
