#include "removal.h"

#include <fcntl.h>
#include <linux/stat.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <mutex>

namespace atsss {

namespace {

/** As sun_path: the files are sockets. */
constexpr size_t kLongestPath = 108;
/** A process has as many sessions that can be watched, at most a few. */
constexpr size_t kMostFiles = 16;

struct Identity {
  uint64_t inode = 0;
  uint32_t major = 0;
  uint32_t minor = 0;

  bool operator==(const Identity& other) const {
    return inode == other.inode && major == other.major && minor == other.minor;
  }
};

struct File {
  /** Whether the other members may be read: they do not change while it is set. */
  std::atomic<bool> ready{false};
  std::array<char, kLongestPath> path = {};
  Identity identity;
};

// Of the whole process, as signals are. A handler may only use what is there already, and must not wait.
std::array<File, kMostFiles> files;
std::array<struct sigaction, NSIG> before;
std::mutex changing;

/** By the system call: the C library's functions are newer than what the prebuilt addon may need, and need not be safe
 * here. */
bool identify(const char* path, Identity& identity) {
  struct statx found = {};
  if (::syscall(SYS_statx, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_INO, &found) != 0) return false;
  identity = {found.stx_ino, found.stx_dev_major, found.stx_dev_minor};
  return true;
}

/** "Async-signal-safe" (signal-safety(7)): system calls on memory that does not change. */
void removeAndGoOn(int number) {
  const int error = errno;
  for (const File& file : files) {
    Identity found;
    // Another process may have put its own file there.
    if (file.ready.load(std::memory_order_acquire) && identify(file.path.data(), found) && found == file.identity)
      ::unlink(file.path.data());
  }
  // It is blocked until this returns, and comes again then.
  ::sigaction(number, &before[static_cast<size_t>(number)], nullptr);
  ::raise(number);
  errno = error;
}

void handle(int number) {
  if (number <= 0 || number >= NSIG) return;
  struct sigaction now = {};
  if (::sigaction(number, nullptr, &now) != 0) return;
  if (now.sa_handler == SIG_IGN || now.sa_handler == removeAndGoOn) return;
  before[static_cast<size_t>(number)] = now;
  struct sigaction ours = {};
  ours.sa_handler = removeAndGoOn;
  ours.sa_flags = SA_RESTART;
  ::sigfillset(&ours.sa_mask);
  ::sigaction(number, &ours, nullptr);
}

}  // namespace

int removeAtSignal(const std::string& path, const std::vector<int>& signals) {
  const std::lock_guard<std::mutex> lock(changing);
  if (path.size() >= kLongestPath) return -1;
  for (size_t i = 0; i < files.size(); i++) {
    File& file = files[i];
    if (file.ready.load(std::memory_order_relaxed)) continue;
    if (!identify(path.c_str(), file.identity)) return -1;
    std::memcpy(file.path.data(), path.c_str(), path.size() + 1);
    file.ready.store(true, std::memory_order_release);
    for (const int number : signals) handle(number);
    return static_cast<int>(i);
  }
  return -1;
}

void forgetAtSignal(int number) {
  const std::lock_guard<std::mutex> lock(changing);
  if (number >= 0 && static_cast<size_t>(number) < files.size())
    files[static_cast<size_t>(number)].ready.store(false, std::memory_order_release);
}

}  // namespace atsss
