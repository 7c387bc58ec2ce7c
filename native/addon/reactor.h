// `new addon.Reactor(deliver)`: the waits of one user of the addon.
#pragma once

#include <napi.h>

#include <memory>

#include "state.h"

namespace atsss {

/**
 * Several users of the addon may share an environment (two copies of the package, say): each has its own Reactor, which
 * delivers the completions of its own waits to its own function. They share the environment's epoll thread.
 *
 * A Reactor lives at least as long as its waits.
 */
class Reactor : public Napi::ObjectWrap<Reactor>, private Waiter {
 public:
  static Napi::Function define(Napi::Env env, std::shared_ptr<State>* state);

  explicit Reactor(const Napi::CallbackInfo& info);
  ~Reactor() override;
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

 private:
  using Info = const Napi::CallbackInfo&;

  Napi::Value awaitConnected(Info info);
  Napi::Value awaitBytes(Info info);
  Napi::Value watchEdges(Info info);
  Napi::Value cancel(Info info);
  Napi::Value keepAlive(Info info);

  void deliver(const Completion& completion) override;
  void ended() override;

  template <typename Begin>
  Napi::Value begun(Info info, Begin begin);
  template <Napi::Value (Reactor::*method)(Info)>
  Napi::Value called(Info info);

  std::shared_ptr<State> state_;
  size_t waits_ = 0;
  bool keepsAlive_ = false;
};

}  // namespace atsss
