#include "system-error.h"

#include <cerrno>

namespace atsss {

Descriptor opened(int fd, const char* syscall) {
  if (fd < 0) throw SystemError(errno, syscall);
  return Descriptor(fd);
}

}  // namespace atsss
