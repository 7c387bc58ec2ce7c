#include "results.h"

#include <cerrno>
#include <string>

namespace atsss {

namespace {

/** The name that util.getSystemErrorName() gives. strerrorname_np() is not in musl, nor in glibc before 2.32. */
const char* nameOf(int number) {
  switch (number) {
#define NAME(constant) \
  case constant:       \
    return #constant;
    NAME(E2BIG)
    NAME(EACCES)
    NAME(EADDRINUSE) NAME(EADDRNOTAVAIL) NAME(EAFNOSUPPORT) NAME(EAGAIN) NAME(EALREADY) NAME(EBADF) NAME(EBUSY)
        NAME(ECANCELED) NAME(ECONNABORTED) NAME(ECONNREFUSED) NAME(ECONNRESET) NAME(EDESTADDRREQ) NAME(EDOM)
            NAME(EEXIST) NAME(EFAULT) NAME(EHOSTDOWN) NAME(EHOSTUNREACH) NAME(EINPROGRESS) NAME(EINTR) NAME(EINVAL)
                NAME(EIO) NAME(EISCONN) NAME(EKEYEXPIRED) NAME(ELOOP) NAME(EMFILE) NAME(EMSGSIZE) NAME(ENETDOWN)
                    NAME(ENETRESET) NAME(ENETUNREACH) NAME(ENFILE) NAME(ENOBUFS) NAME(ENODEV) NAME(ENOENT) NAME(ENOMEM)
                        NAME(ENOPROTOOPT) NAME(ENOSPC) NAME(ENOSYS) NAME(ENOTCONN) NAME(ENOTSOCK) NAME(ENXIO)
                            NAME(EOPNOTSUPP) NAME(EOVERFLOW) NAME(EPERM) NAME(EPIPE) NAME(EPROTO) NAME(EPROTONOSUPPORT)
                                NAME(EPROTOTYPE) NAME(ERANGE) NAME(ESHUTDOWN) NAME(ESOCKTNOSUPPORT) NAME(ETIMEDOUT)
#undef NAME
                                    default : return nullptr;
  }
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
