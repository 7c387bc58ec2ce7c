// Why a request is refused.
#pragma once

namespace atsss {

struct Refusal {
  /** Stable: clients may look at it. */
  const char* code;
  const char* sentence;
};

constexpr Refusal kMalformed = {"malformed",
                                "the request has another layout than this helper knows, or impossible values"};
constexpr Refusal kOtherVersion = {"version",
                                   "helper and client are of different versions of atsss: install the helper again"};
constexpr Refusal kNoSocket = {"no-socket", "the request needs the MPTCP socket itself (SCM_RIGHTS), exactly one"};
constexpr Refusal kNotMptcp = {"not-mptcp", "the descriptor is no MPTCP connection"};
constexpr Refusal kOtherNamespace = {"namespace", "the socket belongs to another network namespace than the helper"};
constexpr Refusal kNotConnected = {"not-connected", "the socket has no connection"};
constexpr Refusal kOtherToken = {"token", "the token belongs to another connection than the socket"};
constexpr Refusal kInterface = {"interface", "the administrator does not allow this interface (--allow-interface)"};
constexpr Refusal kMostSockets = {"sockets", "this user has as many sockets as the administrator allows (--sockets)"};
constexpr Refusal kNoRoom = {"clients",
                             "this user has as many connections to the helper as allowed, or the helper has no room"};

}  // namespace atsss
