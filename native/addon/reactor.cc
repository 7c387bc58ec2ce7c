#include "reactor.h"

#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>
#include <utility>

#include "sockets.h"
#include "system-error.h"

namespace atsss {

namespace {

/** No wait has the id 0: in epoll's data it stands for the eventfd, which says stop. */
constexpr uint64_t kStop = 0;

/** Signals are the other threads' business. */
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

Descriptor::Descriptor(int fd, const char* syscall) : fd_(fd) {
  if (fd < 0) throw SystemError{errno, syscall};
}

Descriptor::~Descriptor() { ::close(fd_); }

Reactor::Reactor(Napi::Env env)
    : env_(env),
      epoll_(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1"),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd") {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = kStop;
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) < 0) throw SystemError{errno, "epoll_ctl"};

  teller_ = Teller::New(env, "atsss", 0, 1, this);
  teller_.Unref(env);
  try {
    const SignalsBlocked blocked;
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    teller_.Release();
    throw SystemError{error.code().value(), "pthread_create"};
  }
  pthread_setname_np(thread_.native_handle(), "atsss");
  env.AddCleanupHook([](Reactor* reactor) { reactor->stop(); }, this);
}

Reactor::~Reactor() = default;

void Reactor::keepAlive(bool on) {
  if (on)
    teller_.Ref(env_);
  else
    teller_.Unref(env_);
}

uint64_t Reactor::awaitConnected(int fd) { return add({Kind::connected, fd}, EPOLLOUT); }

uint64_t Reactor::awaitBytes(int fd, size_t length) { return add({Kind::bytes, fd, length}, EPOLLIN | EPOLLRDHUP); }

uint64_t Reactor::watchEdges(int fd, uint32_t events) { return add({Kind::edges, fd}, events); }

void Reactor::cancel(uint64_t id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto wait = waits_.find(id);
  if (wait != waits_.end()) drop(wait);
}

void Reactor::forget(int fd) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = byDescriptor_.find(fd);
  if (found != byDescriptor_.end()) drop(waits_.find(found->second));
}

size_t Reactor::waits() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return waits_.size();
}

/**
 * Every wait is edge-triggered: an edge that is not used up cannot spin the thread, and what is ready already counts as
 * the first edge.
 */
uint64_t Reactor::add(Wait wait, uint32_t events) {
  uint64_t id;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const int fd = wait.fd;
    const auto before = byDescriptor_.find(fd);
    // Finished, not delivered yet: epoll would take the descriptor again, but it still has its wait.
    if (before != byDescriptor_.end() && waits_.at(before->second).kind != Kind::edges &&
        waits_.at(before->second).ready)
      throw SystemError{EBUSY, "epoll_ctl"};

    id = ++lastId_;
    epoll_event event = {};
    event.events = events | EPOLLET;
    event.data.u64 = id;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) < 0)
      throw SystemError{errno == EEXIST ? EBUSY : errno, "epoll_ctl"};
    // epoll knows open files, not numbers: a wait that was here was on a file that others have closed since.
    if (before != byDescriptor_.end()) waits_.erase(before->second);
    byDescriptor_[fd] = id;
    Wait& added = waits_.emplace(id, std::move(wait)).first->second;
    // No edge would ever come of it.
    if (added.kind == Kind::bytes && added.length == 0) finish(id, added, 0);
  }
  tell();
  return id;
}

void Reactor::drop(Waits::iterator wait) {
  const int fd = wait->second.fd;
  // Fails when the wait has finished, or when others have closed the descriptor: then there is nothing to remove.
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
  byDescriptor_.erase(fd);
  waits_.erase(wait);
}

void Reactor::deliver(Napi::Env env, Napi::Function, Reactor* reactor, void*) {
  // Without an environment the call is only being discarded.
  if (env != nullptr) reactor->deliverNext(env);
}

/**
 * One wait for each call: Node runs its ticks and microtasks when a call of the ThreadSafeFunction ends, and takes the next
 * call within the same wake-up.
 */
void Reactor::deliverNext(Napi::Env env) {
  std::optional<std::pair<uint64_t, Wait>> report;
  bool more;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    while (!report && !ready_.empty()) {
      const uint64_t id = ready_.front();
      ready_.pop_front();
      const auto found = waits_.find(id);
      if (found == waits_.end()) continue;  // cancelled
      Wait& wait = found->second;
      if (wait.kind == Kind::edges) {
        report.emplace(id, wait);
        wait.ready = false;
        wait.status = 0;
      } else {
        report.emplace(id, std::move(wait));
        byDescriptor_.erase(report->second.fd);
        waits_.erase(found);
      }
    }
    more = told_ = !ready_.empty();
  }
  // Before the delivery, which may throw.
  if (more) teller_.NonBlockingCall();
  if (!report) return;

  const auto& [id, wait] = *report;
  Napi::Object completion = Napi::Object::New(env);
  completion.Set("id", Napi::Number::New(env, static_cast<double>(id)));
  completion.Set("status", Napi::Number::New(env, wait.status));
  if (wait.kind == Kind::bytes)
    completion.Set("bytes", Napi::Buffer<uint8_t>::Copy(env, wait.bytes.data(), wait.bytes.size()));
  try {
    deliver_.Call({completion});
  } catch (const Napi::Error& error) {
    // Left to itself, a ThreadSafeFunction of Node-API 8 only warns of it (DEP0168).
    napi_fatal_exception(env, error.Value());
  }
}

void Reactor::stop() {
  ::eventfd_write(wake_, 1);
  thread_.join();
  waits_.clear();
  ready_.clear();
  teller_.Release();
}

void Reactor::run() {
  std::array<epoll_event, 128> events;
  for (;;) {
    const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; i++) {
      const epoll_event& event = events[static_cast<size_t>(i)];
      if (event.data.u64 == kStop) return;
      const std::lock_guard<std::mutex> lock(mutex_);
      progress(event.data.u64, event.events);
    }
    tell();
  }
}

void Reactor::progress(uint64_t id, uint32_t events) {
  const auto found = waits_.find(id);
  if (found == waits_.end()) return;  // cancelled since epoll_wait()
  Wait& wait = found->second;
  switch (wait.kind) {
    case Kind::connected:
      return wait.ready ? void() : progressConnected(id, wait, events);
    case Kind::bytes:
      return wait.ready ? void() : progressBytes(id, wait);
    case Kind::edges:
      wait.status |= events;
      return queue(id, wait);
  }
}

/**
 * An error that is there before the handshake is done is the connection's; a reset that follows it, be it by a
 * microsecond, is left for whoever reads or writes. SO_ERROR is gone once read, so TCP_INFO decides first.
 */
void Reactor::progressConnected(uint64_t id, Wait& wait, uint32_t events) {
  const TcpInfo info = tcpInfo(wait.fd);
  if (info.bytesAcked > 0) return finish(id, wait, 0);
  if (const int error = socketError(wait.fd)) return finish(id, wait, error);
  if (info.state == TCP_SYN_SENT) return;
  // A kernel that says nothing of acknowledged bytes; or nobody has asked for a connection.
  finish(id, wait, events & (EPOLLERR | EPOLLHUP) ? ENOTCONN : 0);
}

void Reactor::progressBytes(uint64_t id, Wait& wait) {
  std::array<uint8_t, 16384> chunk;
  while (wait.bytes.size() < wait.length) {
    const size_t room = std::min(chunk.size(), wait.length - wait.bytes.size());
    const ssize_t received = ::recv(wait.fd, chunk.data(), room, MSG_DONTWAIT);
    if (received > 0) {
      wait.bytes.insert(wait.bytes.end(), chunk.data(), chunk.data() + received);
    } else if (received == 0) {
      return finish(id, wait, 0);
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != EINTR) {
      return finish(id, wait, errno);
    }
  }
  finish(id, wait, 0);
}

void Reactor::finish(uint64_t id, Wait& wait, int status) {
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, wait.fd, nullptr);
  wait.status = static_cast<uint32_t>(status);
  queue(id, wait);
}

void Reactor::queue(uint64_t id, Wait& wait) {
  if (wait.ready) return;
  wait.ready = true;
  ready_.push_back(id);
}

void Reactor::tell() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (ready_.empty() || told_) return;
    told_ = true;
  }
  teller_.NonBlockingCall();
}

}  // namespace atsss
