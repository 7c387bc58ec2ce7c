// The steering helper: changes the subflows of MPTCP connections for programs that may not (CAP_NET_ADMIN), if they
// show that a connection is theirs by passing its socket. It has no rules and no policy. protocol.h says what it is
// asked.
//
//   atsss-helper [--socket PATH [--group NAME]] [--allow-interface NAME]... [--clients N] [--sockets N] [--requests N]
//   atsss-helper --set-path-manager        switches the userspace path manager on, and ends
//
// Without --socket it serves the socket that systemd passes (LISTEN_FDS).
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "client.h"
#include "owned-socket.h"

namespace atsss {

namespace {

constexpr int kFirstPassed = 3;  // SD_LISTEN_FDS_START
constexpr int kBacklog = 64;
constexpr int kNice = -10;

struct Options {
  std::string socket;
  std::string group;
  std::vector<std::string> interfaces;
  Quota quota;
};

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "atsss-helper: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

[[noreturn]] void usageError(const std::string& what) {
  std::fprintf(stderr, "atsss-helper: %s\n", what.c_str());
  std::exit(64);
}

/** For a statically linked program getgrnam(3) is no choice: it loads libraries. */
gid_t groupNamed(const std::string& name) {
  char* end = nullptr;
  const unsigned long number = std::strtoul(name.c_str(), &end, 10);
  if (!name.empty() && *end == '\0') return static_cast<gid_t>(number);
  std::optional<gid_t> found;
  if (FILE* const file = std::fopen("/etc/group", "re")) {
    while (const group* one = ::fgetgrent(file))
      if (name == one->gr_name) found = one->gr_gid;
    std::fclose(file);
  }
  if (!found) usageError("there is no group " + name + ": groupadd --system " + name);
  return *found;
}

/** The socket's file has the mode 0660 from its beginning. */
Descriptor listenAt(const Options& options) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (options.socket.size() >= sizeof address.sun_path) usageError("the socket's path is too long: " + options.socket);
  std::memcpy(address.sun_path, options.socket.c_str(), options.socket.size());
  Descriptor listening(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!listening) die("socket");
  ::unlink(address.sun_path);
  const mode_t before = ::umask(0117);
  if (::bind(listening.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) die(options.socket);
  ::umask(before);
  if (!options.group.empty() && ::chown(address.sun_path, static_cast<uid_t>(-1), groupNamed(options.group)) != 0)
    die(options.socket);
  if (::listen(listening.get(), kBacklog) != 0) die(options.socket);
  return listening;
}

/** sd_listen_fds(3). */
Descriptor passedSocket() {
  const char* const process = std::getenv("LISTEN_PID");
  const char* const count = std::getenv("LISTEN_FDS");
  if (process == nullptr || count == nullptr || std::atol(process) != ::getpid() || std::atoi(count) != 1)
    usageError("name a socket with --socket, or start it by its systemd units: atsss helper install");
  Descriptor passed(kFirstPassed);
  int type = 0;
  socklen_t length = sizeof type;
  if (::getsockopt(passed.get(), SOL_SOCKET, SO_TYPE, &type, &length) != 0) die("the socket of systemd");
  if (type != SOCK_SEQPACKET) usageError("the socket of systemd is not of the kind that ListenSequentialPacket= makes");
  if (::fcntl(passed.get(), F_SETFD, FD_CLOEXEC) != 0) die("the socket of systemd");
  return passed;
}

volatile std::sig_atomic_t ending = 0;

void onSignal(int signal) {
  if (signal != SIGCHLD) ending = 1;
}

/** The signals arrive only while it waits: see `waitFor`. */
sigset_t takeSignals() {
  struct sigaction action = {};
  action.sa_handler = onSignal;
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT}) {
    ::sigaction(signal, &action, nullptr);
    sigaddset(&blocked, signal);
  }
  ::sigprocmask(SIG_BLOCK, &blocked, &before);
  return before;
}

class Helper {
 public:
  Helper(const Options& options, Descriptor listening)
      : listening_(std::move(listening)), usage_(Usage::shared()), signals_(takeSignals()) {
    settings_.family = findPathManager();
    settings_.namespaceCookie = namespaceCookie(openCommands().get());
    settings_.interfaces = AllowedInterfaces(options.interfaces);
    settings_.quota = options.quota;
    ::fcntl(listening_.get(), F_SETFL, O_NONBLOCK);
  }

  void run() {
    std::fprintf(stderr, "atsss-helper: ready\n");
    while (ending == 0) {
      pollfd polled = {listening_.get(), POLLIN, 0};
      if (::ppoll(&polled, 1, nullptr, &signals_) > 0) accept();
      reap();
    }
  }

 private:
  void accept() {
    Descriptor client(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!client) {
      if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        std::perror("accept");
        ::usleep(100'000);
      }
      return;
    }
    ucred who = {};
    socklen_t length = sizeof who;
    if (::getsockopt(client.get(), SOL_SOCKET, SO_PEERCRED, &who, &length) != 0) return;
    reap();
    const int slot = usage_.take(who.uid, settings_.quota);
    if (slot < 0) {
      std::fprintf(stderr, "uid %u, process %d: %s: %s\n", who.uid, who.pid, kNoRoom.code, kNoRoom.sentence);
      return refuseClient(client.get(), kNoRoom);
    }
    begin(std::move(client), who, slot);
  }

  void begin(Descriptor client, const ucred& who, int slot) {
    const pid_t parent = ::getpid();
    const pid_t process = ::fork();
    if (process < 0) {
      std::perror("fork");
      usage_.release(slot);
      return refuseClient(client.get(), kNoRoom);
    }
    if (process > 0) return usage_.own(slot, process);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(0);
    for (const int signal : {SIGCHLD, SIGTERM, SIGINT}) std::signal(signal, SIG_DFL);
    ::sigprocmask(SIG_SETMASK, &signals_, nullptr);
    listening_ = Descriptor();
    std::fprintf(stderr, "uid %u, gid %u, process %d: is served\n", who.uid, who.gid, who.pid);
    serveClient(std::move(client), who, settings_, usage_, slot);
    ::_exit(0);
  }

  void reap() {
    for (;;) {
      int status = 0;
      const pid_t ended = ::waitpid(-1, &status, WNOHANG);
      if (ended <= 0) return;
      if (WIFSIGNALED(status))
        std::fprintf(stderr, "the process of a client has ended by signal %d\n", WTERMSIG(status));
      const int slot = usage_.slotOf(ended);
      if (slot >= 0) usage_.release(slot);
    }
  }

  Descriptor listening_;
  Usage& usage_;
  const sigset_t signals_;
  ClientSettings settings_;
};

/**
 * A handover must not wait until a busy machine has time for it; what one user may ask for is limited. But the helper
 * must not interrupt a client at each of its requests either (SCHED_BATCH): the client would have to wait for the
 * processor again. As far as it is allowed: the unit has both (Nice=, CPUSchedulingPolicy=).
 */
void raisePriority() {
  ::setpriority(PRIO_PROCESS, 0, kNice);
  const sched_param none = {};
  ::syscall(SYS_sched_setscheduler, 0, SCHED_BATCH, &none);  // musl's sched_setscheduler is a stub
}

/** By the name that this kernel has: `path_manager` from Linux 6.15 on, else `pm_type`. */
int setPathManager() {
  const struct {
    const char* path;
    const char* value;
  } names[] = {{"/proc/sys/net/mptcp/path_manager", "userspace"}, {"/proc/sys/net/mptcp/pm_type", "1"}};
  for (const auto& [path, value] : names) {
    const Descriptor file(::open(path, O_WRONLY | O_CLOEXEC));
    if (!file && errno == ENOENT) continue;
    if (!file || ::write(file.get(), value, std::strlen(value)) < 0) die(path);
    return 0;
  }
  usageError("this kernel has no userspace path manager: Linux 5.19 or later is needed");
}

uint32_t number(const char* text, const char* option) {
  char* end = nullptr;
  const unsigned long value = std::strtoul(text, &end, 10);
  if (*text < '0' || *text > '9' || *end != '\0' || value < 1 || value > 1'000'000)
    usageError(std::string(option) + " needs a number from 1 to 1000000, not " + text);
  return static_cast<uint32_t>(value);
}

int run(int argc, char** argv) {
  enum : int { socket = 1, group, interface, clients, sockets, requests, pathManager };
  const option known[] = {{"socket", required_argument, nullptr, socket},
                          {"group", required_argument, nullptr, group},
                          {"allow-interface", required_argument, nullptr, interface},
                          {"clients", required_argument, nullptr, clients},
                          {"sockets", required_argument, nullptr, sockets},
                          {"requests", required_argument, nullptr, requests},
                          {"set-path-manager", no_argument, nullptr, pathManager},
                          {nullptr, 0, nullptr, 0}};
  Options options;
  for (int option = 0; (option = ::getopt_long(argc, argv, "", known, nullptr)) != -1;) {
    switch (option) {
      case socket:
        options.socket = optarg;
        break;
      case group:
        options.group = optarg;
        break;
      case interface:
        options.interfaces.emplace_back(optarg);
        break;
      case clients:
        options.quota.clientsOfUser = number(optarg, "--clients");
        break;
      case sockets:
        options.quota.socketsOfUser = number(optarg, "--sockets");
        break;
      case requests:
        options.quota.requestsPerSecond = number(optarg, "--requests");
        options.quota.burst = 10 * options.quota.requestsPerSecond;
        break;
      case pathManager:
        return setPathManager();
      default:
        return 64;
    }
  }
  if (optind < argc) usageError(std::string("unknown word: ") + argv[optind]);
  if (!options.group.empty() && options.socket.empty()) usageError("--group needs --socket");
  raisePriority();
  Helper(options, options.socket.empty() ? passedSocket() : listenAt(options)).run();
  if (!options.socket.empty()) ::unlink(options.socket.c_str());
  return 0;
}

}  // namespace

}  // namespace atsss

int main(int argc, char** argv) { return atsss::run(argc, argv); }
