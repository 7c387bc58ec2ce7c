// The one place where an errno becomes a JavaScript error.
#pragma once

#include <napi.h>

#include <string>

namespace atsss {

/** A syscall has failed. What the C++ code throws; JavaScript sees what `toJavaScript` makes of it. */
struct SystemError {
  /** As in errno.h: positive. */
  int number;
  const char* syscall;
  /** The peer or the local address it was about; empty when it was about none. */
  std::string address = {};
  int port = 0;
};

/**
 * An Error shaped like Node's own: `code`, `errno` (negative), `syscall`, and `address` and `port` where known, with a
 * message such as `connect ECONNREFUSED 192.0.2.1:80`. (Node's ErrnoException is not part of Node-API.)
 */
Napi::Error toJavaScript(Napi::Env env, const SystemError& error);

}  // namespace atsss
