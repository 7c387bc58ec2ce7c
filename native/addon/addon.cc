// The module: reads arguments, keeps what one environment owns, and calls. The types of all of this are in
// lib/runtime/kernel/native.ts, as are the meanings.
#include <napi.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "arguments.h"
#include "netlink.h"
#include "reactor.h"
#include "sampler.h"
#include "sockets.h"
#include "system-error.h"

namespace atsss {

namespace {

/** More than any socket option holds. */
constexpr double kMaxOption = 1 << 20;

Asking askingAt(const Napi::CallbackInfo& info, size_t index) {
  return static_cast<Asking>(integerAt(info, index, 0, static_cast<int>(Asking::connections)));
}

Napi::Value toJavaScript(Napi::Env env, const Endpoint& endpoint) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("address", Napi::String::New(env, endpoint.address));
  object.Set("family", Napi::Number::New(env, endpoint.family));
  object.Set("port", Napi::Number::New(env, endpoint.port));
  return object;
}

Napi::Value toJavaScript(Napi::Env env, uint64_t id) { return Napi::Number::New(env, static_cast<double>(id)); }

}  // namespace

/** All that the addon keeps, once for each environment: nothing is global, so worker threads are ordinary. */
class Environment : public Napi::Addon<Environment> {
 public:
  Environment(Napi::Env, Napi::Object exports) {
    DefineAddon(exports, {
                             entry<&Environment::socket>("socket"),
                             entry<&Environment::datagramSocket>("datagramSocket"),
                             entry<&Environment::bind>("bind"),
                             entry<&Environment::connect>("connect"),
                             entry<&Environment::sendFastOpen>("sendFastOpen"),
                             entry<&Environment::send>("send"),
                             entry<&Environment::shutdown>("shutdown"),
                             entry<&Environment::duplicate>("duplicate"),
                             entry<&Environment::unread>("unread"),
                             entry<&Environment::listen>("listen"),
                             entry<&Environment::accept>("accept"),
                             entry<&Environment::close>("close"),
                             entry<&Environment::reset>("reset"),
                             entry<&Environment::release>("release"),
                             entry<&Environment::getsockopt>("getsockopt"),
                             entry<&Environment::setsockopt>("setsockopt"),
                             entry<&Environment::attachFilter>("attachFilter"),
                             entry<&Environment::getsockname>("getsockname"),
                             entry<&Environment::getpeername>("getpeername"),
                             entry<&Environment::netlinkSocket>("netlinkSocket"),
                             entry<&Environment::sendNetlink>("sendNetlink"),
                             entry<&Environment::receiveNetlink>("receiveNetlink"),
                             entry<&Environment::sample>("sample"),
                             entry<&Environment::subflowAddresses>("subflowAddresses"),
                             entry<&Environment::onCompletion>("onCompletion"),
                             entry<&Environment::keepAlive>("keepAlive"),
                             entry<&Environment::awaitConnected>("awaitConnected"),
                             entry<&Environment::awaitBytes>("awaitBytes"),
                             entry<&Environment::watchEdges>("watchEdges"),
                             entry<&Environment::cancel>("cancel"),
                             entry<&Environment::counts>("counts"),
                         });
  }

  ~Environment() {
    for (const int fd : owned_) ::close(fd);
  }

 private:
  using Info = const Napi::CallbackInfo&;
  using Method = Napi::Value (Environment::*)(Info);

  template <Method method>
  static Napi::ClassPropertyDescriptor<Environment> entry(const char* name) {
    return InstanceMethod(name, &Environment::called<method>, napi_enumerable);
  }

  template <Method method>
  Napi::Value called(Info info) {
    try {
      return (this->*method)(info);
    } catch (const SystemError& error) {
      throw atsss::toJavaScript(info.Env(), error);
    }
  }

  // Sockets.

  Napi::Value socket(Info info) {
    const int fd = openSocket(intAt(info, 0), intAt(info, 1));
    owned_.insert(fd);
    return Napi::Number::New(info.Env(), fd);
  }

  Napi::Value datagramSocket(Info info) {
    const int fd = openDatagramSocket(intAt(info, 0));
    owned_.insert(fd);
    return Napi::Number::New(info.Env(), fd);
  }

  Napi::Value bind(Info info) {
    bindSocket(ownedAt(info, 0, "bind"), textAt(info, 1), portAt(info, 2));
    return info.Env().Undefined();
  }

  Napi::Value connect(Info info) {
    const bool done = connectSocket(ownedAt(info, 0, "connect"), textAt(info, 1), portAt(info, 2));
    return Napi::Boolean::New(info.Env(), done);
  }

  Napi::Value sendFastOpen(Info info) {
    const int fd = ownedAt(info, 0, "connect");
    const size_t taken = atsss::sendFastOpen(fd, textAt(info, 1), portAt(info, 2), bytesAt(info, 3));
    return toJavaScript(info.Env(), taken);
  }

  Napi::Value send(Info info) {
    return toJavaScript(info.Env(), sendBytes(ownedAt(info, 0, "send"), bytesAt(info, 1)));
  }

  Napi::Value shutdown(Info info) {
    shutdownSocket(ownedAt(info, 0, "shutdown"));
    return info.Env().Undefined();
  }

  /** Of any descriptor. */
  Napi::Value unread(Info info) { return Napi::Number::New(info.Env(), unreadBytes(intAt(info, 0))); }

  /** Of any descriptor; the copy is ours. */
  Napi::Value duplicate(Info info) {
    const int fd = duplicateDescriptor(intAt(info, 0));
    owned_.insert(fd);
    return Napi::Number::New(info.Env(), fd);
  }

  Napi::Value listen(Info info) {
    listenSocket(ownedAt(info, 0, "listen"), intAt(info, 1));
    return info.Env().Undefined();
  }

  Napi::Value accept(Info info) {
    const int fd = acceptSocket(ownedAt(info, 0, "accept"));
    if (fd < 0) return info.Env().Undefined();
    owned_.insert(fd);
    return Napi::Number::New(info.Env(), fd);
  }

  Napi::Value close(Info info) {
    closeSocket(letGo(info, "close"));
    return info.Env().Undefined();
  }

  Napi::Value reset(Info info) {
    const int fd = letGo(info, "close");
    lingerNot(fd);
    closeSocket(fd);
    return info.Env().Undefined();
  }

  Napi::Value release(Info info) {
    letGo(info, "release");
    return info.Env().Undefined();
  }

  // On any descriptor: they are also asked of those that libuv owns.

  Napi::Value getsockopt(Info info) {
    const auto maxLength = static_cast<size_t>(integerAt(info, 3, 0, kMaxOption));
    const std::vector<uint8_t> value = getOption(intAt(info, 0), intAt(info, 1), intAt(info, 2), maxLength);
    return Napi::Buffer<uint8_t>::Copy(info.Env(), value.data(), value.size());
  }

  Napi::Value setsockopt(Info info) {
    setOption(intAt(info, 0), intAt(info, 1), intAt(info, 2), bytesAt(info, 3));
    return info.Env().Undefined();
  }

  Napi::Value attachFilter(Info info) {
    atsss::attachFilter(intAt(info, 0), bytesAt(info, 1));
    return info.Env().Undefined();
  }

  Napi::Value getsockname(Info info) { return toJavaScript(info.Env(), socketName(intAt(info, 0))); }

  Napi::Value getpeername(Info info) { return toJavaScript(info.Env(), peerName(intAt(info, 0))); }

  // Netlink.

  Napi::Value netlinkSocket(Info info) {
    const uint32_t groups = uint32At(info, 1);
    const int fd = openNetlink(intAt(info, 0));
    owned_.insert(fd);
    try {
      bindNetlink(fd, groups);
    } catch (const SystemError&) {
      owned_.erase(fd);
      ::close(fd);
      throw;
    }
    return Napi::Number::New(info.Env(), fd);
  }

  Napi::Value sendNetlink(Info info) {
    atsss::sendNetlink(ownedAt(info, 0, "sendto"), bytesAt(info, 1));
    return info.Env().Undefined();
  }

  Napi::Value receiveNetlink(Info info) {
    std::array<uint8_t, kLargestDatagram> datagram;
    const std::optional<size_t> length = atsss::receiveNetlink(ownedAt(info, 0, "recvfrom"), datagram);
    if (!length) return info.Env().Undefined();
    return Napi::Buffer<uint8_t>::Copy(info.Env(), datagram.data(), *length);
  }

  // The sampler.

  Napi::Value sample(Info info) {
    const auto fds = arrayAt(info, 0, napi_int32_array, "an Int32Array").As<Napi::Int32Array>();
    auto out = arrayAt(info, 1, napi_float64_array, "a Float64Array").As<Napi::Float64Array>();
    const size_t taken =
        sampleSockets(fds.Data(), fds.ElementLength(), out.Data(), out.ElementLength(), askingAt(info, 2));
    return toJavaScript(info.Env(), taken);
  }

  Napi::Value subflowAddresses(Info info) {
    const std::vector<SubflowEndpoints> subflows = subflowEndpoints(intAt(info, 0), askingAt(info, 1));
    const Napi::Array list = Napi::Array::New(info.Env(), subflows.size());
    uint32_t index = 0;
    for (const auto& [id, local, remote] : subflows) {
      Napi::Object subflow = Napi::Object::New(info.Env());
      subflow.Set("id", Napi::Number::New(info.Env(), id));
      subflow.Set("local", toJavaScript(info.Env(), local));
      subflow.Set("remote", toJavaScript(info.Env(), remote));
      list.Set(index++, subflow);
    }
    return list;
  }

  // Waits.

  Napi::Value onCompletion(Info info) {
    const Napi::Function deliver = functionAt(info, 0);
    if (!reactor_) reactor_ = std::make_unique<Reactor>(info.Env());
    reactor_->deliverTo(deliver);
    return info.Env().Undefined();
  }

  Napi::Value keepAlive(Info info) {
    reactor(info).keepAlive(booleanAt(info, 0));
    return info.Env().Undefined();
  }

  Napi::Value awaitConnected(Info info) {
    return toJavaScript(info.Env(), reactor(info).awaitConnected(ownedAt(info, 0, "epoll_ctl")));
  }

  Napi::Value awaitBytes(Info info) {
    return toJavaScript(info.Env(), reactor(info).awaitBytes(ownedAt(info, 0, "epoll_ctl"), uint32At(info, 1)));
  }

  Napi::Value watchEdges(Info info) {
    return toJavaScript(info.Env(), reactor(info).watchEdges(intAt(info, 0), uint32At(info, 1)));
  }

  Napi::Value cancel(Info info) {
    reactor(info).cancel(static_cast<uint64_t>(integerAt(info, 0, 0, kMaxSafeInteger)));
    return info.Env().Undefined();
  }

  Napi::Value counts(Info info) {
    Napi::Object counts = Napi::Object::New(info.Env());
    counts.Set("descriptors", toJavaScript(info.Env(), owned_.size()));
    counts.Set("waits", toJavaScript(info.Env(), reactor_ ? reactor_->waits() : 0));
    return counts;
  }

  /** The descriptor in an argument; EBADF when it is somebody else's, which is never touched. */
  int ownedAt(Info info, size_t index, const char* syscall) const {
    const int fd = intAt(info, index);
    if (owned_.count(fd) == 0) throw SystemError{EBADF, syscall};
    return fd;
  }

  /** The descriptor in the first argument, from now on nobody's here. */
  int letGo(Info info, const char* syscall) {
    const int fd = ownedAt(info, 0, syscall);
    if (reactor_) reactor_->forget(fd);
    owned_.erase(fd);
    return fd;
  }

  Reactor& reactor(Info info) const {
    if (!reactor_) throw Napi::Error::New(info.Env(), "onCompletion must be called first");
    return *reactor_;
  }

  std::unordered_set<int> owned_;
  std::unique_ptr<Reactor> reactor_;
};

NODE_API_NAMED_ADDON(atsss, Environment)

}  // namespace atsss
