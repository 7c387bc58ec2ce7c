// The syscalls on netlink sockets. The messages are bytes here; TypeScript knows what they mean.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "sockets.h"

namespace atsss {

/** AF_NETLINK, SOCK_RAW, SOCK_NONBLOCK, SOCK_CLOEXEC. @param protocol NETLINK_ROUTE, NETLINK_GENERIC, … */
int openNetlink(int protocol);
/** Gives it a port of its own, and the multicast groups of a bitmap. */
void bindNetlink(int fd, uint32_t groups);
/** One datagram to the kernel. Its answer is there when this returns. */
void sendNetlink(int fd, Bytes message);
/** Room for any datagram that the kernel sends: the parts of a dump are at most half of it (netlink_dump). */
constexpr size_t kLargestDatagram = 65536;
/**
 * The next datagram from the kernel; other processes' are dropped. ENOBUFS: some of those before it were lost.
 * @returns its length, or nothing when there is none (EAGAIN)
 */
std::optional<size_t> receiveNetlink(int fd, std::array<uint8_t, kLargestDatagram>& into);

}  // namespace atsss
