#include "program.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "system-error.h"

namespace atsss {

namespace {

/** What Node ignores (src/node.cc, PlatformInit). */
constexpr int kIgnored[] = {SIGPIPE, SIGXFSZ};

/** Where SIG_IGN is inherited, handlers are not. */
void handleIgnored(void (*how)(int)) {
  for (const int number : kIgnored) std::signal(number, how);
}

/** Node has them closed by exec, and makes pipes non-blocking for all processes that have them. */
void passStandardStreams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    const int own = ::fcntl(fd, F_GETFD);
    if (own >= 0) ::fcntl(fd, F_SETFD, own & ~FD_CLOEXEC);
    const int shared = ::fcntl(fd, F_GETFL);
    if (shared >= 0 && (shared & O_NONBLOCK) != 0) ::fcntl(fd, F_SETFL, shared & ~O_NONBLOCK);
  }
}

}  // namespace

void becomeProgram(const std::string& file, const std::vector<std::string>& arguments) {
  std::vector<char*> words;
  words.reserve(arguments.size() + 1);
  // POSIX: exec changes neither the array nor the strings; the type has historical reasons.
  for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  passStandardStreams();
  handleIgnored(SIG_DFL);
  sigset_t none;
  sigset_t before;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, &before);
  ::execvp(file.c_str(), words.data());
  const int number = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  handleIgnored(SIG_IGN);
  throw SystemError(number, "execve");
}

}  // namespace atsss
