// What the kernel's headers say, for systems whose headers are older than their kernel.
#pragma once

#include <cstddef>

namespace atsss {

/** `struct tcp_info`: offsets, since the struct grows with every kernel, and libc's copy of it is an early one. */
namespace tcp_info {
constexpr size_t kState = 0;        // u8
constexpr size_t kBytesAcked = 120;  // u64; the SYN counts as one
constexpr size_t kLength = 128;
}  // namespace tcp_info

/** TCP_SYN_SENT: asked for, not answered. */
constexpr unsigned kTcpSynSent = 2;

}  // namespace atsss
