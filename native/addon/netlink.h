// System calls on netlink sockets. Messages are opaque bytes here: TypeScript encodes and decodes them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "../descriptor.h"
#include "sockets.h"

namespace atsss {

/**
 * AF_NETLINK, SOCK_RAW, SOCK_NONBLOCK, SOCK_CLOEXEC; bound to a port that the kernel chooses.
 *
 * @param protocol NETLINK_ROUTE, NETLINK_GENERIC, …
 * @param groups the bitmap of multicast groups to join
 */
Descriptor openNetlink(int protocol, uint32_t groups);
/** Sends one datagram to the kernel. Its answer has arrived when this returns. */
void sendNetlink(int fd, Bytes message);
/** Holds any datagram that the kernel sends: the parts of a dump are at most half as long (netlink_dump). */
constexpr size_t kLargestDatagram = 65536;
/**
 * Receives the next datagram from the kernel; those of other processes are dropped. ENOBUFS: some before it were lost.
 *
 * @returns its length, or nothing if there is none (EAGAIN)
 */
std::optional<size_t> receiveNetlink(int fd, std::array<uint8_t, kLargestDatagram>& into);

}  // namespace atsss
