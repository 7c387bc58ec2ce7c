// Waiting: one epoll thread and one ThreadSafeFunction per environment, however many descriptors it waits for.
#pragma once

#include <napi.h>

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

#include "../descriptor.h"

namespace atsss {

/** What a wait reports. */
struct Completion {
  uint64_t id;
  /** An errno, or for `edges` the epoll events since the last report. */
  uint32_t status;
  /** What `awaitBytes` received. */
  std::optional<std::vector<uint8_t>> bytes;
  /** The wait is over; false for `edges`. */
  bool last;
};

/** Receives the completions of its own waits. Must outlive them. All on the environment's thread. */
class Waiter {
 public:
  /** May call JavaScript, and throws what that throws. Called last by whoever calls it. */
  virtual void deliver(const Completion& completion) = 0;
  /** A wait has ended without a completion: cancelled, or its descriptor closed. */
  virtual void ended() = 0;

 protected:
  ~Waiter() = default;
};

/**
 * Lifetimes, in four sentences. A wait lives in `waits_` from its call until it is delivered or cancelled. Both threads
 * hold `mutex_` while they touch a wait or its descriptor: once `cancel` has returned, the epoll thread cannot touch
 * the descriptor, and an id that is still queued finds no wait. The thread ends in a cleanup hook of the environment,
 * which was registered after the ThreadSafeFunction's own and so runs before it: the thread never calls a dead
 * function. What remains is plain memory and descriptors, which go with the object.
 */
class EpollThread {
 public:
  /** Starts the thread; does not keep the event loop alive. */
  explicit EpollThread(Napi::Env env);
  ~EpollThread() = default;
  EpollThread(const EpollThread&) = delete;
  EpollThread& operator=(const EpollThread&) = delete;

  /** Keeps the event loop alive until the matching `letGo`; they nest. */
  void hold();
  void letGo();

  /** Each returns the id of the wait. */
  uint64_t awaitConnected(int fd, Waiter& waiter);
  uint64_t awaitBytes(int fd, size_t length, Waiter& waiter);
  uint64_t watchEdges(int fd, uint32_t events, Waiter& waiter);
  /** Does nothing if `waiter` has no such wait (any more). */
  void cancel(uint64_t id, const Waiter& waiter);
  /** Cancels the wait on a descriptor, if there is one. */
  void forget(int fd);
  size_t waits();

 private:
  enum class Kind { connected, bytes, edges };

  struct Wait {
    Kind kind;
    int fd;
    Waiter* waiter;
    /** For `bytes`: how many are wanted. */
    size_t length = 0;
    /** As in Completion, so far. */
    uint32_t status = 0;
    std::vector<uint8_t> bytes = {};
    /** Its id is in `ready_`. */
    bool ready = false;
  };
  using Waits = std::unordered_map<uint64_t, Wait>;

  static void onCall(Napi::Env env, Napi::Function, EpollThread* thread, void*);
  using WakeUp = Napi::TypedThreadSafeFunction<EpollThread, void, onCall>;

  // On the environment's thread.
  uint64_t add(Wait wait, uint32_t events);
  Waiter* drop(Waits::iterator wait);
  void deliverNext(Napi::Env env);
  void stop();

  // On the epoll thread; all but run() under the mutex.
  void run();
  void progress(uint64_t id, uint32_t events);
  void progressConnected(uint64_t id, Wait& wait, uint32_t events);
  void progressBytes(uint64_t id, Wait& wait);

  // On either thread, under the mutex.
  void finish(uint64_t id, Wait& wait, int status);
  void queue(uint64_t id, Wait& wait);

  // On either thread, without the mutex.
  void wakeEnvironment();

  const Napi::Env env_;
  const Descriptor epoll_;
  const Descriptor stopEvent_;
  WakeUp wakeUp_;
  size_t holds_ = 0;
  /** The environment is ending: `wakeUp_` is gone. */
  bool stopped_ = false;

  std::mutex mutex_;
  Waits waits_;
  std::unordered_map<int, uint64_t> byDescriptor_;
  std::deque<uint64_t> ready_;
  /** `wakeUp_` has been called for the first id in `ready_`, and that call has not come through yet. */
  bool calling_ = false;
  uint64_t lastId_ = 0;

  std::thread thread_;
};

}  // namespace atsss
