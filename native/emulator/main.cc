// Emulates links between network namespaces: joins pairs of TUN devices, and delays, limits, loses, changes and
// captures what passes. See command.h for the commands. Ends with its parent, or with standard input.
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

namespace {

// How many packets of a device are taken before others get their turn, so that no deadline is missed for long.
constexpr int kBurst = 32;
constexpr size_t kLargestPacket = 65536;

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

Nanoseconds clock_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return Nanoseconds{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

class Emulator {
 public:
  Emulator();
  // Until standard input ends.
  void run();

 private:
  // One thing that epoll watches: a device and the path that begins there, or one of the two others.
  struct Source {
    Device* device = nullptr;
    Path* path = nullptr;
  };

  void watch(int fd, Source& source);
  void take_commands();
  void take_packets(const Source& source);
  void deliver_and_set_timer();

  Descriptor epoll_, timer_;
  Source commands_, clock_;
  std::vector<std::unique_ptr<Source>> devices_;
  Nanoseconds timer_set_to_ = kNever;
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
      if (source == &commands_) take_commands();
      else if (source == &clock_) timer_set_to_ = 0;
      else take_packets(*source);
    }
    deliver_and_set_timer();
  }
}

void Emulator::watch(int fd, Source& source) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = &source;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
}

void Emulator::take_commands() {
  char text[4096];
  ssize_t size = 0;
  while ((size = read(STDIN_FILENO, text, sizeof text)) > 0) input_.append(text, static_cast<size_t>(size));
  ended_ = size == 0 || (errno != EAGAIN && errno != EINTR);
  for (size_t end = 0; (end = input_.find('\n')) != std::string::npos; input_.erase(0, end + 1)) {
    const size_t links_before = links_.size();
    const std::string answer = obey(input_.substr(0, end), links_, clock_now()) + "\n";
    if (write(STDOUT_FILENO, answer.data(), answer.size()) < 0) ended_ = true;
    if (links_.size() == links_before) continue;
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

void Emulator::take_packets(const Source& source) {
  for (int i = 0; i < kBurst; i++) {
    const long size = source.device->read(packet_, sizeof packet_);
    if (size > 0) source.path->accept(packet_, static_cast<size_t>(size), clock_now());
    // Its namespace has been deleted: there is nothing more to come, and epoll would report it without end.
    if (size < 0) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, source.device->fd(), nullptr);
    if (size <= 0) return;
  }
}

void Emulator::deliver_and_set_timer() {
  Nanoseconds next = kNever;
  for (auto& [name, link] : links_) {
    for (Path* path : {&link->uplink, &link->downlink}) {
      path->deliver(clock_now());
      next = std::min(next, path->next());
    }
  }
  if (next == timer_set_to_) return;  // 0 after it has expired: to set it takes the expiry back
  timer_set_to_ = next;
  itimerspec when{};  // all zero disarms it
  if (next != kNever) {
    when.it_value.tv_sec = static_cast<time_t>(next / 1'000'000'000);
    when.it_value.tv_nsec = std::max(1L, static_cast<long>(next % 1'000'000'000));
  }
  if (timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr) != 0) die("timerfd_settime");
}

// To be late is to emulate another link: on a busy machine we go before what is measured over us. Not allowed to
// everybody; then we are as late as all others. (musl's sched_setscheduler is a stub.)
void go_first() {
  sched_param priority{};
  priority.sched_priority = 1;
  syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &priority);
}

// Becomes another program, which is killed when the process PID, our parent, ends.
int tie(int argc, char** argv) {
  if (argc < 4) return 64;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != std::atoi(argv[2])) return 1;  // it has ended already
  execvp(argv[3], argv + 3);
  std::fprintf(stderr, "%s: %s\n", argv[3], std::strerror(errno));
  return 127;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "tie") == 0) return tie(argc, argv);
  if (argc > 1) {
    std::fprintf(stderr, "usage: link-emulator | link-emulator tie PID COMMAND ...\n");
    return 64;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // Ctrl-C goes to the whole process group; it is for the parent to end us, after its own last words.
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGHUP, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  go_first();
  Emulator().run();
  return 0;
}
