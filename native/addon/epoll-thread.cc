#include "epoll-thread.h"

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

/** No wait has the id 0: in epoll's data it stands for the eventfd that stops the thread. */
constexpr uint64_t kStop = 0;

/** Signals are for the other threads. A new thread inherits the mask of the one that starts it. */
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

EpollThread::EpollThread(Napi::Env env)
    : env_(env),
      epoll_(opened(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      stopEvent_(opened(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = kStop;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, stopEvent_.get(), &event) < 0) throw SystemError(errno, "epoll_ctl");

  wakeUp_ = WakeUp::New(env, "atsss", 0, 1, this);
  wakeUp_.Unref(env);
  try {
    const SignalsBlocked blocked;
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    wakeUp_.Release();
    throw SystemError(error.code().value(), "pthread_create");
  }
  pthread_setname_np(thread_.native_handle(), "atsss");
  env.AddCleanupHook([](EpollThread* thread) { thread->stop(); }, this);
}

void EpollThread::hold() {
  if (holds_++ == 0 && !stopped_) wakeUp_.Ref(env_);
}

void EpollThread::letGo() {
  if (--holds_ == 0 && !stopped_) wakeUp_.Unref(env_);
}

uint64_t EpollThread::awaitConnected(int fd, Waiter& waiter) { return add({Kind::connected, fd, &waiter}, EPOLLOUT); }

uint64_t EpollThread::awaitBytes(int fd, size_t length, Waiter& waiter) {
  return add({Kind::bytes, fd, &waiter, length}, EPOLLIN | EPOLLRDHUP);
}

uint64_t EpollThread::watchEdges(int fd, uint32_t events, Waiter& waiter) {
  return add({Kind::edges, fd, &waiter}, events);
}

void EpollThread::cancel(uint64_t id, const Waiter& waiter) {
  Waiter* ended = nullptr;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto wait = waits_.find(id);
    if (wait != waits_.end() && wait->second.waiter == &waiter) ended = drop(wait);
  }
  if (ended) ended->ended();
}

void EpollThread::forget(int fd) {
  Waiter* ended = nullptr;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = byDescriptor_.find(fd);
    if (found != byDescriptor_.end()) ended = drop(waits_.find(found->second));
  }
  if (ended) ended->ended();
}

size_t EpollThread::waits() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return waits_.size();
}

/**
 * Every wait is edge-triggered: an event that nobody uses up cannot spin the thread. What is ready when the wait begins
 * counts as the first edge.
 */
uint64_t EpollThread::add(Wait wait, uint32_t events) {
  uint64_t id = 0;
  Waiter* replaced = nullptr;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const int fd = wait.fd;
    const auto before = byDescriptor_.find(fd);
    // Finished, but not delivered yet: epoll would accept the descriptor again, although it still has its wait.
    if (before != byDescriptor_.end()) {
      const Wait& other = waits_.at(before->second);
      if (other.kind != Kind::edges && other.ready) throw SystemError(EBUSY, "epoll_ctl");
    }

    id = ++lastId_;
    // No edge would ever end it. Alone on its descriptor, it need not go through epoll either.
    const bool complete = wait.kind == Kind::bytes && wait.length == 0;
    epoll_event event = {};
    event.events = events | EPOLLET;
    event.data.u64 = id;
    // All that allocates comes before epoll_ctl(): a wait is either complete or not there.
    Wait& added = waits_.emplace(id, std::move(wait)).first->second;
    try {
      if (before == byDescriptor_.end()) byDescriptor_.emplace(fd, id);
    } catch (...) {
      waits_.erase(id);
      throw;
    }
    if (complete && before == byDescriptor_.end()) {
      queue(id, added);
    } else if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0) {
      const int error = errno == EEXIST ? EBUSY : errno;
      waits_.erase(id);
      if (before == byDescriptor_.end()) byDescriptor_.erase(fd);
      throw SystemError(error, "epoll_ctl");
    }
    if (before != byDescriptor_.end()) {
      // epoll knows open files, not numbers: the earlier wait was for a file that somebody else has closed since.
      const auto stale = waits_.find(before->second);
      replaced = stale->second.waiter;
      waits_.erase(stale);
      before->second = id;
    }
    if (complete && !added.ready) finish(id, added, 0);
  }
  if (replaced) replaced->ended();
  wakeEnvironment();
  return id;
}

Waiter* EpollThread::drop(Waits::iterator wait) {
  const int fd = wait->second.fd;
  Waiter* const waiter = wait->second.waiter;
  // Fails if the wait has finished, or if somebody else has closed the descriptor: then there is nothing to remove.
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  byDescriptor_.erase(fd);
  waits_.erase(wait);
  return waiter;
}

void EpollThread::onCall(Napi::Env env, Napi::Function, EpollThread* thread, void*) {
  // Without an environment the call is only being discarded.
  if (env != nullptr) thread->deliverNext(env);
}

/**
 * One completion per call: Node runs ticks and microtasks when a call of the ThreadSafeFunction ends, and starts the
 * next call within the same wake-up.
 */
void EpollThread::deliverNext(Napi::Env env) {
  std::optional<Completion> completion;
  Waiter* waiter = nullptr;
  bool more = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    while (!completion && !ready_.empty()) {
      const uint64_t id = ready_.front();
      ready_.pop_front();
      const auto found = waits_.find(id);
      if (found == waits_.end()) continue;  // cancelled
      Wait& wait = found->second;
      waiter = wait.waiter;
      completion = Completion{id, wait.status, std::nullopt, wait.kind != Kind::edges};
      if (wait.kind == Kind::edges) {
        wait.ready = false;
        wait.status = 0;
        continue;
      }
      if (wait.kind == Kind::bytes) completion->bytes = std::move(wait.bytes);
      byDescriptor_.erase(wait.fd);
      waits_.erase(found);
    }
    more = calling_ = !ready_.empty();
  }
  // Before the delivery, which may throw.
  if (more) wakeUp_.NonBlockingCall();
  if (!completion) return;
  try {
    waiter->deliver(*completion);
  } catch (const Napi::Error& error) {
    // A ThreadSafeFunction of Node-API 8 would only print a warning (DEP0168).
    napi_fatal_exception(env, error.Value());
  }
}

void EpollThread::stop() {
  ::eventfd_write(stopEvent_.get(), 1);
  thread_.join();
  stopped_ = true;
  waits_.clear();
  byDescriptor_.clear();
  ready_.clear();
  wakeUp_.Release();
}

void EpollThread::run() {
  std::array<epoll_event, 128> events;
  for (;;) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; i++) {
      const epoll_event& event = events[static_cast<size_t>(i)];
      if (event.data.u64 == kStop) return;
      const std::lock_guard<std::mutex> lock(mutex_);
      progress(event.data.u64, event.events);
    }
    wakeEnvironment();
  }
}

void EpollThread::progress(uint64_t id, uint32_t events) {
  const auto found = waits_.find(id);
  if (found == waits_.end()) return;  // cancelled since epoll_wait()
  Wait& wait = found->second;
  if (wait.kind == Kind::edges) {
    wait.status |= events;
    queue(id, wait);
  } else if (!wait.ready) {
    if (wait.kind == Kind::connected) progressConnected(id, wait, events);
    else progressBytes(id, wait);
  }
}

/**
 * An error before the handshake is complete is the connection's. A reset that follows the handshake, be it by a
 * microsecond, is left for whoever reads or writes. Reading SO_ERROR clears it, so TCP_INFO decides first.
 */
void EpollThread::progressConnected(uint64_t id, Wait& wait, uint32_t events) {
  const HandshakeProgress handshake = handshakeProgress(wait.fd);
  if (handshake.bytesAcked > 0) return finish(id, wait, 0);
  if (const int error = socketError(wait.fd)) return finish(id, wait, error);
  if (handshake.synSent) return;
  // A kernel that does not report acknowledged bytes, or a socket on which connect() was never called.
  finish(id, wait, events & (EPOLLERR | EPOLLHUP) ? ENOTCONN : 0);
}

void EpollThread::progressBytes(uint64_t id, Wait& wait) {
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

void EpollThread::finish(uint64_t id, Wait& wait, int status) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, wait.fd, nullptr);
  wait.status = static_cast<uint32_t>(status);
  queue(id, wait);
}

void EpollThread::queue(uint64_t id, Wait& wait) {
  if (wait.ready) return;
  wait.ready = true;
  ready_.push_back(id);
}

void EpollThread::wakeEnvironment() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (ready_.empty() || calling_) return;
    calling_ = true;
  }
  wakeUp_.NonBlockingCall();
}

}  // namespace atsss
