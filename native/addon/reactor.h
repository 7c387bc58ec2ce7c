// Waiting: one epoll thread and one ThreadSafeFunction for an environment, however many descriptors it waits for.
#pragma once

#include <napi.h>

#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

namespace atsss {

/** Closes its descriptor. */
class Descriptor {
 public:
  Descriptor(int fd, const char* syscall);
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  operator int() const { return fd_; }

 private:
  const int fd_;
};

/**
 * Lifetimes, in four sentences. A wait lives in `waits_` from its call until it has been delivered or cancelled.
 * Whoever touches a wait or its descriptor, on either thread, holds `mutex_`: so after `cancel` has returned the
 * reactor's thread cannot touch the descriptor, and an id still queued finds nothing to deliver. The thread ends in a
 * cleanup hook of the environment, registered after the ThreadSafeFunction's own, hence run before it: the thread
 * never calls a dead one. What is left then is plain memory and descriptors, which go with the object.
 */
class Reactor {
 public:
  /** Starts the thread; does not keep the event loop alive. */
  explicit Reactor(Napi::Env env);
  ~Reactor();
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  void deliverTo(Napi::Function deliver) { deliver_ = Napi::Persistent(deliver); }
  void keepAlive(bool on);

  uint64_t awaitConnected(int fd);
  uint64_t awaitBytes(int fd, size_t length);
  uint64_t watchEdges(int fd, uint32_t events);
  /** Nothing happens for an id that is not waiting (any more). */
  void cancel(uint64_t id);
  /** Cancels what waits on a descriptor, if anything. */
  void forget(int fd);
  size_t waits();

 private:
  enum class Kind { connected, bytes, edges };

  struct Wait {
    Kind kind;
    int fd;
    /** For `bytes`: how many are asked for. */
    size_t length = 0;
    /** What there is to report: an errno, or for `edges` the events since the last delivery. */
    uint32_t status = 0;
    std::vector<uint8_t> bytes = {};
    /** Its id is in `ready_`. */
    bool ready = false;
  };
  using Waits = std::unordered_map<uint64_t, Wait>;

  static void deliver(Napi::Env env, Napi::Function, Reactor* reactor, void*);
  using Teller = Napi::TypedThreadSafeFunction<Reactor, void, deliver>;

  // On the environment's thread.
  uint64_t add(Wait wait, uint32_t events);
  void drop(Waits::iterator wait);
  void deliverNext(Napi::Env env);
  void stop();

  // On the reactor's thread, all but run() under the mutex.
  void run();
  void progress(uint64_t id, uint32_t events);
  void progressConnected(uint64_t id, Wait& wait, uint32_t events);
  void progressBytes(uint64_t id, Wait& wait);

  // On either thread, under the mutex.
  void finish(uint64_t id, Wait& wait, int status);
  void queue(uint64_t id, Wait& wait);

  // On either thread, without it.
  void tell();

  const Napi::Env env_;
  const Descriptor epoll_;
  const Descriptor wake_;
  Napi::FunctionReference deliver_;
  Teller teller_;

  std::mutex mutex_;
  Waits waits_;
  std::unordered_map<int, uint64_t> byDescriptor_;
  std::deque<uint64_t> ready_;
  /** The ThreadSafeFunction has been called for the first in `ready_`, and not yet come through. */
  bool told_ = false;
  uint64_t lastId_ = 0;

  std::thread thread_;
};

}  // namespace atsss
