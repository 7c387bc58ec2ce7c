// The module: reads arguments, and makes one system call per function. lib/runtime/kernel/native.ts has the types and
// says what everything means.
#include <napi.h>

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "arguments.h"
#include "netlink.h"
#include "program.h"
#include "reactor.h"
#include "removal.h"
#include "results.h"
#include "sampler.h"
#include "sockets.h"
#include "state.h"

namespace atsss {

namespace {

/** What native.ts wants to find (`REVISION`): raise both with every change of these functions. */
constexpr int kRevision = 9;

/** Bytes; more than any socket option is long. */
constexpr double kMaxOption = 1 << 20;

Asking askingAt(const Napi::CallbackInfo& info, size_t index) {
  return static_cast<Asking>(integerAt(info, index, 0, static_cast<int>(Asking::connections)));
}

}  // namespace

/** The addon of one environment (the main thread or a worker). */
class Environment : public Napi::Addon<Environment> {
 public:
  Environment(Napi::Env env, Napi::Object exports) {
    DefineAddon(exports, {
                             entry<&Environment::socket>("socket"),
                             entry<&Environment::datagramSocket>("datagramSocket"),
                             entry<&Environment::bind>("bind"),
                             entry<&Environment::connect>("connect"),
                             entry<&Environment::sendFastOpen>("sendFastOpen"),
                             entry<&Environment::send>("send"),
                             entry<&Environment::shutdown>("shutdown"),
                             entry<&Environment::duplicate>("duplicate"),
                             entry<&Environment::replace>("replace"),
                             entry<&Environment::socketPair>("socketPair"),
                             entry<&Environment::packetSocket>("packetSocket"),
                             entry<&Environment::connectToPath>("connectToPath"),
                             entry<&Environment::sendDatagram>("sendDatagram"),
                             entry<&Environment::receiveDatagram>("receiveDatagram"),
                             entry<&Environment::unread>("unread"),
                             entry<&Environment::listen>("listen"),
                             entry<&Environment::accept>("accept"),
                             entry<&Environment::close>("close"),
                             entry<&Environment::reset>("reset"),
                             entry<&Environment::release>("release"),
                             entry<&Environment::getsockopt>("getsockopt"),
                             entry<&Environment::getsockoptInt>("getsockoptInt"),
                             entry<&Environment::setsockopt>("setsockopt"),
                             entry<&Environment::attachFilter>("attachFilter"),
                             entry<&Environment::getsockname>("getsockname"),
                             entry<&Environment::getpeername>("getpeername"),
                             entry<&Environment::netlinkSocket>("netlinkSocket"),
                             entry<&Environment::sendNetlink>("sendNetlink"),
                             entry<&Environment::receiveNetlink>("receiveNetlink"),
                             entry<&Environment::execute>("execute"),
                             entry<&Environment::sample>("sample"),
                             entry<&Environment::subflowAddresses>("subflowAddresses"),
                             entry<&Environment::counts>("counts"),
                             entry<&Environment::removeAtSignal>("removeAtSignal"),
                             entry<&Environment::forgetAtSignal>("forgetAtSignal"),
                             InstanceValue("revision", Napi::Number::New(env, kRevision), napi_enumerable),
                             InstanceValue("Reactor", Reactor::define(env, &state_), napi_enumerable),
                         });
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
    return withJavaScriptErrors(info.Env(), [&] { return (this->*method)(info); });
  }

  // Sockets.

  Napi::Value socket(Info info) { return owned(info, openSocket(intAt(info, 0), intAt(info, 1))); }

  Napi::Value datagramSocket(Info info) { return owned(info, openDatagramSocket(intAt(info, 0))); }

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
    return toJavaScript(info.Env(), uint64_t{taken});
  }

  Napi::Value send(Info info) {
    return toJavaScript(info.Env(), uint64_t{sendBytes(ownedAt(info, 0, "send"), bytesAt(info, 1))});
  }

  Napi::Value shutdown(Info info) {
    shutdownSocket(ownedAt(info, 0, "shutdown"));
    return info.Env().Undefined();
  }

  /** Of any descriptor. */
  Napi::Value unread(Info info) { return Napi::Number::New(info.Env(), unreadBytes(intAt(info, 0))); }

  /** Of any descriptor; this environment owns the copy. */
  Napi::Value duplicate(Info info) { return owned(info, duplicateDescriptor(intAt(info, 0))); }

  /** Over any descriptor: who owns the two does not change. */
  Napi::Value replace(Info info) {
    replaceDescriptor(ownedAt(info, 0, "dup3"), intAt(info, 1));
    return info.Env().Undefined();
  }

  /** This environment owns both ends. */
  Napi::Value socketPair(Info info) {
    auto [one, other] = openSocketPair();
    const Napi::Array ends = Napi::Array::New(info.Env(), 2);
    ends.Set(0u, owned(info, std::move(one)));
    ends.Set(1u, owned(info, std::move(other)));
    return ends;
  }

  Napi::Value packetSocket(Info info) { return owned(info, openPacketSocket()); }

  Napi::Value connectToPath(Info info) {
    atsss::connectToPath(ownedAt(info, 0, "connect"), textAt(info, 1));
    return info.Env().Undefined();
  }

  /** Passes any descriptor. */
  Napi::Value sendDatagram(Info info) {
    const bool sent = atsss::sendDatagram(ownedAt(info, 0, "sendmsg"), bytesAt(info, 1), intsAt(info, 2));
    return Napi::Boolean::New(info.Env(), sent);
  }

  Napi::Value receiveDatagram(Info info) {
    const auto maxLength = static_cast<size_t>(integerAt(info, 1, 0, kLargestDatagram));
    const auto datagram = atsss::receiveDatagram(ownedAt(info, 0, "recv"), maxLength);
    if (!datagram) return info.Env().Undefined();
    return Napi::Buffer<uint8_t>::Copy(info.Env(), datagram->data(), datagram->size());
  }

  Napi::Value listen(Info info) {
    listenSocket(ownedAt(info, 0, "listen"), intAt(info, 1));
    return info.Env().Undefined();
  }

  Napi::Value accept(Info info) {
    Descriptor accepted = acceptSocket(ownedAt(info, 0, "accept"));
    return accepted ? owned(info, std::move(accepted)) : info.Env().Undefined();
  }

  Napi::Value close(Info info) {
    closeDescriptor(taken(info, "close"));
    return info.Env().Undefined();
  }

  /** The descriptor is closed in any case: without a reset where SO_LINGER is refused, which is then thrown. */
  Napi::Value reset(Info info) {
    Descriptor descriptor = taken(info, "close");
    setResetOnClose(descriptor.get());
    closeDescriptor(std::move(descriptor));
    return info.Env().Undefined();
  }

  Napi::Value release(Info info) {
    taken(info, "release").release();
    return info.Env().Undefined();
  }

  // On any descriptor, also on those that libuv owns.

  Napi::Value getsockopt(Info info) {
    const auto maxLength = static_cast<size_t>(integerAt(info, 3, 0, kMaxOption));
    const std::vector<uint8_t> value = getOption(intAt(info, 0), intAt(info, 1), intAt(info, 2), maxLength);
    return Napi::Buffer<uint8_t>::Copy(info.Env(), value.data(), value.size());
  }

  Napi::Value getsockoptInt(Info info) {
    const std::optional<int> value = getIntOption(intAt(info, 0), intAt(info, 1), intAt(info, 2));
    return value ? Napi::Number::New(info.Env(), *value) : info.Env().Undefined();
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
    return owned(info, openNetlink(intAt(info, 0), groups));
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
    auto out = arrayAt(info, 1, napi_uint8_array, "a Uint8Array").As<Napi::Uint8Array>();
    const size_t sampled =
        sampleSockets(fds.Data(), fds.ElementLength(), out.Data(), out.ByteLength(), askingAt(info, 2));
    return toJavaScript(info.Env(), uint64_t{sampled});
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

  Napi::Value removeAtSignal(Info info) {
    return Napi::Number::New(info.Env(), atsss::removeAtSignal(textAt(info, 0), intsAt(info, 1)));
  }

  Napi::Value forgetAtSignal(Info info) {
    atsss::forgetAtSignal(intAt(info, 0));
    return info.Env().Undefined();
  }

  Napi::Value execute(Info info) { becomeProgram(textAt(info, 0), textsAt(info, 1)); }

  Napi::Value counts(Info info) {
    Napi::Object counts = Napi::Object::New(info.Env());
    counts.Set("descriptors", toJavaScript(info.Env(), uint64_t{state_->owned.size()}));
    counts.Set("waits", toJavaScript(info.Env(), uint64_t{state_->epollThread ? state_->epollThread->waits() : 0}));
    return counts;
  }

  // Ownership.

  Napi::Value owned(Info info, Descriptor descriptor) {
    return Napi::Number::New(info.Env(), state_->owned.add(std::move(descriptor)));
  }

  /** The number in an argument; EBADF unless this environment owns it. */
  int ownedAt(Info info, size_t index, const char* syscall) const {
    const int fd = intAt(info, index);
    state_->owned.check(fd, syscall);
    return fd;
  }

  /** The descriptor in the first argument. The environment owns it no longer, and waits on it are cancelled. */
  Descriptor taken(Info info, const char* syscall) {
    Descriptor descriptor = state_->owned.take(intAt(info, 0), syscall);
    if (state_->epollThread) state_->epollThread->forget(descriptor.get());
    return descriptor;
  }

  std::shared_ptr<State> state_ = std::make_shared<State>();
};

NODE_API_NAMED_ADDON(atsss, Environment)

}  // namespace atsss
