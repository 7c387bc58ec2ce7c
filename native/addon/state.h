// What the addon keeps for one environment (the main thread or a worker). Nothing is global.
#pragma once

#include <cerrno>
#include <memory>
#include <unordered_map>
#include <utility>

#include "../descriptor.h"
#include "epoll-thread.h"
#include "system-error.h"

namespace atsss {

/** The descriptors that belong to one environment. Those left at its end are closed. */
class OwnedDescriptors {
 public:
  /** @returns its number */
  int add(Descriptor descriptor) {
    const int fd = descriptor.get();
    descriptors_.insert_or_assign(fd, std::move(descriptor));
    return fd;
  }

  /** @throws SystemError EBADF for a descriptor of somebody else, which the addon never touches */
  void check(int fd, const char* syscall) const {
    if (descriptors_.count(fd) == 0) throw SystemError(EBADF, syscall);
  }

  /** Takes it out. @throws as `check` */
  Descriptor take(int fd, const char* syscall) {
    const auto found = descriptors_.find(fd);
    if (found == descriptors_.end()) throw SystemError(EBADF, syscall);
    Descriptor taken = std::move(found->second);
    descriptors_.erase(found);
    return taken;
  }

  size_t size() const { return descriptors_.size(); }

 private:
  std::unordered_map<int, Descriptor> descriptors_;
};

/** Shared by the addon's object and its Reactors, whichever is finalized last. */
struct State {
  OwnedDescriptors owned;
  /** Made by the first Reactor. */
  std::unique_ptr<EpollThread> epollThread;
};

}  // namespace atsss
