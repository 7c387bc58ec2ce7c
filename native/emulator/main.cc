// Emulates links between network namespaces: joins pairs of TUN devices, and delays, limits, loses, changes and
// captures packets between them. command.h has the commands. Ends with its parent, or with standard input.
//
//   link-emulator                       takes commands
//   link-emulator tie PID COMMAND ...   becomes COMMAND, which ends with its parent PID
#include <fcntl.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "command.h"

namespace atsss {

namespace {

/** How many packets of a device are taken before others get their turn, so that no deadline is missed for long. */
constexpr int kBurst = 32;
constexpr size_t kLargestPacket = 65536;

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

Nanoseconds clockNow() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return Nanoseconds{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

class Emulator {
 public:
  Emulator();
  /** Until standard input ends. */
  void run();

 private:
  /** What epoll watches: a device and the path that begins there, or standard input or the timer (then both are null).
   */
  struct Source {
    Device* device = nullptr;
    Path* path = nullptr;
  };

  void watch(int fd, Source& source);
  void takeCommands();
  void takePackets(const Source& source);
  void deliverAndSetTimer();

  Descriptor epoll_, timer_;
  Source commands_, clock_;
  std::vector<std::unique_ptr<Source>> devices_;
  Nanoseconds timerSetTo_ = kNever;
  Links links_;
  std::string input_;
  bool ended_ = false;
  uint8_t packet_[kLargestPacket];
};

Emulator::Emulator()
    : epoll_(epoll_create1(EPOLL_CLOEXEC)), timer_(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)) {
  if (epoll_.get() < 0 || timer_.get() < 0) die("epoll, timerfd");
  if (fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK) != 0) die("standard input");
  watch(STDIN_FILENO, commands_);
  watch(timer_.get(), clock_);
}

void Emulator::run() {
  epoll_event events[8];
  while (!ended_) {
    const int count = epoll_wait(epoll_.get(), events, 8, -1);
    if (count < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < count; i++) {
      const auto* source = static_cast<Source*>(events[i].data.ptr);
      if (source == &commands_) takeCommands();
      else if (source == &clock_) timerSetTo_ = 0;
      else takePackets(*source);
    }
    deliverAndSetTimer();
  }
}

void Emulator::watch(int fd, Source& source) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = &source;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
}

void Emulator::takeCommands() {
  char text[4096];
  ssize_t size = 0;
  while ((size = read(STDIN_FILENO, text, sizeof text)) > 0) input_.append(text, static_cast<size_t>(size));
  ended_ = size == 0 || (errno != EAGAIN && errno != EINTR);
  for (size_t end = 0; (end = input_.find('\n')) != std::string::npos; input_.erase(0, end + 1)) {
    const size_t linksBefore = links_.size();
    const std::string answer = obey(input_.substr(0, end), links_, clockNow()) + "\n";
    if (write(STDOUT_FILENO, answer.data(), answer.size()) < 0) ended_ = true;
    if (links_.size() == linksBefore) continue;
    for (auto& [name, link] : links_) {
      if (link->watched) continue;
      link->watched = true;
      devices_.push_back(std::make_unique<Source>(Source{&link->ue, &link->uplink}));
      watch(link->ue.fd(), *devices_.back());
      devices_.push_back(std::make_unique<Source>(Source{&link->network, &link->downlink}));
      watch(link->network.fd(), *devices_.back());
    }
  }
}

void Emulator::takePackets(const Source& source) {
  for (int i = 0; i < kBurst; i++) {
    const long size = source.device->read(packet_, sizeof packet_);
    if (size > 0) source.path->accept(packet_, static_cast<size_t>(size), clockNow());
    // Its namespace has been deleted: nothing more will come, and epoll would report the device again and again.
    if (size < 0) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, source.device->fd(), nullptr);
    if (size <= 0) return;
  }
}

void Emulator::deliverAndSetTimer() {
  Nanoseconds next = kNever;
  for (auto& [name, link] : links_) {
    for (Path* path : {&link->uplink, &link->downlink}) {
      path->deliver(clockNow());
      next = std::min(next, path->next());
    }
  }
  if (next == timerSetTo_) return;  // 0 after it has expired: setting it clears the expiry
  timerSetTo_ = next;
  itimerspec when{};  // all zero disarms it
  if (next != kNever) {
    when.it_value.tv_sec = static_cast<time_t>(next / 1'000'000'000);
    when.it_value.tv_nsec = std::max(1L, static_cast<long>(next % 1'000'000'000));
  }
  if (timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr) != 0) die("timerfd_settime");
}

/**
 * A late packet is an emulation of another link: on a busy machine this process runs before the programs that use its
 * links. Without the privilege it shares the processor like others. (musl's sched_setscheduler is a stub.)
 */
void raisePriority() {
  sched_param priority{};
  priority.sched_priority = 1;
  syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &priority);
}

/** Becomes another program, which is killed when the process PID, our parent, ends. */
int tie(int argc, char** argv) {
  if (argc < 4) return 64;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != std::atoi(argv[2])) return 1;  // the parent has ended already
  execvp(argv[3], argv + 3);
  std::fprintf(stderr, "%s: %s\n", argv[3], std::strerror(errno));
  return 127;
}

}  // namespace

}  // namespace atsss

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "tie") == 0) return atsss::tie(argc, argv);
  if (argc > 1) {
    std::fprintf(stderr, "usage: link-emulator | link-emulator tie PID COMMAND ...\n");
    return 64;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // Ctrl-C goes to the whole process group. The parent ends this process, after its own cleanup.
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGHUP, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  atsss::raisePriority();
  atsss::Emulator().run();
  return 0;
}
