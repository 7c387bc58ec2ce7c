#include "results.h"

#include <cerrno>
#include <string>

namespace atsss {

namespace {

struct ErrnoName {
  int number;
  const char* name;
};

#define NAMED(constant) \
  ErrnoName { constant, #constant }
constexpr ErrnoName kNames[] = {NAMED(E2BIG),        NAMED(EACCES),       NAMED(EADDRINUSE),   NAMED(EADDRNOTAVAIL),
                                NAMED(EAFNOSUPPORT), NAMED(EAGAIN),       NAMED(EALREADY),     NAMED(EBADF),
                                NAMED(EBUSY),        NAMED(ECANCELED),    NAMED(ECONNABORTED), NAMED(ECONNREFUSED),
                                NAMED(ECONNRESET),   NAMED(EDESTADDRREQ), NAMED(EDOM),         NAMED(EEXIST),
                                NAMED(EFAULT),       NAMED(EHOSTDOWN),    NAMED(EHOSTUNREACH), NAMED(EINPROGRESS),
                                NAMED(EINTR),        NAMED(EINVAL),       NAMED(EIO),          NAMED(EISCONN),
                                NAMED(EKEYEXPIRED),  NAMED(ELOOP),        NAMED(EMFILE),       NAMED(EMSGSIZE),
                                NAMED(ENETDOWN),     NAMED(ENETRESET),    NAMED(ENETUNREACH),  NAMED(ENFILE),
                                NAMED(ENOBUFS),      NAMED(ENODEV),       NAMED(ENOENT),       NAMED(ENOMEM),
                                NAMED(ENOPROTOOPT),  NAMED(ENOSPC),       NAMED(ENOSYS),       NAMED(ENOTCONN),
                                NAMED(ENOTSOCK),     NAMED(ENXIO),        NAMED(EOPNOTSUPP),   NAMED(EOVERFLOW),
                                NAMED(EPERM),        NAMED(EPIPE),        NAMED(EPROTO),       NAMED(EPROTONOSUPPORT),
                                NAMED(EPROTOTYPE),   NAMED(ERANGE),       NAMED(ESHUTDOWN),    NAMED(ESOCKTNOSUPPORT),
                                NAMED(ETIMEDOUT),    NAMED(EISDIR),       NAMED(ENAMETOOLONG), NAMED(ENOEXEC),
                                NAMED(ENOTDIR),      NAMED(ETXTBSY)};
#undef NAMED

/** The name that util.getSystemErrorName() gives. strerrorname_np() is not in musl, nor in glibc before 2.32. */
const char* nameOf(int number) {
  for (const ErrnoName& one : kNames)
    if (one.number == number) return one.name;
  return nullptr;
}

}  // namespace

Napi::Error toJavaScript(Napi::Env env, const SystemError& error) {
  const char* const name = nameOf(error.number());
  const std::string code = name ? name : "Unknown system error " + std::to_string(-error.number());
  std::string message = std::string(error.syscall()) + " " + code;
  if (!error.address().empty()) message += " " + error.address() + ":" + std::to_string(error.port());

  Napi::Error made = Napi::Error::New(env, message);
  made.Set("errno", Napi::Number::New(env, -error.number()));
  made.Set("code", Napi::String::New(env, code));
  made.Set("syscall", Napi::String::New(env, error.syscall()));
  if (!error.address().empty()) {
    made.Set("address", Napi::String::New(env, error.address()));
    made.Set("port", Napi::Number::New(env, error.port()));
  }
  return made;
}

Napi::Object toJavaScript(Napi::Env env, const Endpoint& endpoint) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("address", Napi::String::New(env, endpoint.address));
  object.Set("family", Napi::Number::New(env, endpoint.family));
  object.Set("port", Napi::Number::New(env, endpoint.port));
  return object;
}

Napi::Number toJavaScript(Napi::Env env, uint64_t number) {
  return Napi::Number::New(env, static_cast<double>(number));
}

}  // namespace atsss
