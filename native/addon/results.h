// C++ values and errors as JavaScript receives them.
#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>

#include "address.h"
#include "system-error.h"

namespace atsss {

/**
 * An Error shaped like Node's own: `code`, `errno` (negative), `syscall`, and `address` and `port` where known, with a
 * message such as `connect ECONNREFUSED 192.0.2.1:80`. (Node's ErrnoException is not part of Node-API.)
 */
Napi::Error toJavaScript(Napi::Env env, const SystemError& error);
Napi::Object toJavaScript(Napi::Env env, const Endpoint& endpoint);
/** Exact up to 2^53. */
Napi::Number toJavaScript(Napi::Env env, uint64_t number);

/** Runs `call`; a SystemError that it throws becomes a JavaScript error. */
template <typename Call>
auto withJavaScriptErrors(Napi::Env env, Call call) {
  try {
    return call();
  } catch (const SystemError& error) {
    throw toJavaScript(env, error);
  }
}

}  // namespace atsss
