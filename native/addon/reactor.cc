#include "reactor.h"

#include "arguments.h"
#include "results.h"

namespace atsss {

namespace {

/** Kept as a property: a persistent reference would be a cycle that the garbage collector does not see. */
constexpr const char* kDeliver = "deliver";

}  // namespace

Napi::Function Reactor::define(Napi::Env env, std::shared_ptr<State>* state) {
  return DefineClass(env, "Reactor",
                     {
                         InstanceMethod<&Reactor::called<&Reactor::awaitConnected>>("awaitConnected"),
                         InstanceMethod<&Reactor::called<&Reactor::awaitBytes>>("awaitBytes"),
                         InstanceMethod<&Reactor::called<&Reactor::watchEdges>>("watchEdges"),
                         InstanceMethod<&Reactor::called<&Reactor::cancel>>("cancel"),
                         InstanceMethod<&Reactor::called<&Reactor::keepAlive>>("keepAlive"),
                     },
                     state);
}

Reactor::Reactor(Info info)
    : Napi::ObjectWrap<Reactor>(info), state_(*static_cast<std::shared_ptr<State>*>(info.Data())) {
  Value().DefineProperty(Napi::PropertyDescriptor::Value(kDeliver, functionAt(info, 0), napi_default));
  if (state_->epollThread) return;
  withJavaScriptErrors(info.Env(), [&] { state_->epollThread = std::make_unique<EpollThread>(info.Env()); });
}

Reactor::~Reactor() {
  if (keepsAlive_) state_->epollThread->letGo();
}

Napi::Value Reactor::awaitConnected(Info info) {
  const int fd = intAt(info, 0);
  state_->owned.check(fd, "epoll_ctl");
  return begun(info, [&](EpollThread& thread) { return thread.awaitConnected(fd, *this); });
}

Napi::Value Reactor::awaitBytes(Info info) {
  const int fd = intAt(info, 0);
  const uint32_t length = uint32At(info, 1);
  state_->owned.check(fd, "epoll_ctl");
  return begun(info, [&](EpollThread& thread) { return thread.awaitBytes(fd, length, *this); });
}

Napi::Value Reactor::watchEdges(Info info) {
  const int fd = intAt(info, 0);
  const uint32_t events = uint32At(info, 1);
  return begun(info, [&](EpollThread& thread) { return thread.watchEdges(fd, events, *this); });
}

Napi::Value Reactor::cancel(Info info) {
  state_->epollThread->cancel(static_cast<uint64_t>(integerAt(info, 0, 0, kMaxSafeInteger)), *this);
  return info.Env().Undefined();
}

Napi::Value Reactor::keepAlive(Info info) {
  const bool on = booleanAt(info, 0);
  if (on == keepsAlive_) return info.Env().Undefined();
  keepsAlive_ = on;
  if (on) state_->epollThread->hold();
  else state_->epollThread->letGo();
  return info.Env().Undefined();
}

void Reactor::deliver(const Completion& completion) {
  const Napi::Env env = Env();
  // Not collected during the call, although this may have been its last wait.
  const Napi::Object self = Value();
  if (completion.last) ended();
  Napi::Object result = Napi::Object::New(env);
  result.Set("id", toJavaScript(env, completion.id));
  result.Set("status", Napi::Number::New(env, completion.status));
  if (completion.bytes)
    result.Set("bytes", Napi::Buffer<uint8_t>::Copy(env, completion.bytes->data(), completion.bytes->size()));
  self.Get(kDeliver).As<Napi::Function>().Call({result});
}

void Reactor::ended() {
  if (--waits_ == 0) Unref();
}

template <typename Begin>
Napi::Value Reactor::begun(Info info, Begin begin) {
  const uint64_t id = begin(*state_->epollThread);
  if (waits_++ == 0) Ref();
  return toJavaScript(info.Env(), id);
}

template <Napi::Value (Reactor::*method)(const Napi::CallbackInfo&)>
Napi::Value Reactor::called(Info info) {
  return withJavaScriptErrors(info.Env(), [&] { return (this->*method)(info); });
}

}  // namespace atsss
