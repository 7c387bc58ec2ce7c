// System calls on sockets, one per function. Each returns what the kernel returned, or throws a SystemError.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../descriptor.h"
#include "address.h"

namespace atsss {

/** Bytes that somebody else owns. */
struct Bytes {
  const uint8_t* data = nullptr;
  size_t size = 0;
};

/** SOCK_STREAM, SOCK_NONBLOCK, SOCK_CLOEXEC. @param family 4 or 6 */
Descriptor openSocket(int family, int protocol);
/** SOCK_DGRAM, SOCK_NONBLOCK, SOCK_CLOEXEC. */
Descriptor openDatagramSocket(int family);
void bindSocket(int fd, const std::string& address, uint16_t port);
/** @returns whether the connection is established already */
bool connectSocket(int fd, const std::string& address, uint16_t port);
/** MSG_FASTOPEN. @returns how many bytes the kernel took; 0 if it connects without them (EINPROGRESS) */
size_t sendFastOpen(int fd, const std::string& address, uint16_t port, Bytes bytes);
/** @returns how many bytes the kernel took; 0 for EAGAIN */
size_t sendBytes(int fd, Bytes bytes);
/** SHUT_WR: the peer gets a FIN after the queued bytes. */
void shutdownSocket(int fd);
/** Close-on-exec. */
Descriptor duplicateDescriptor(int fd);
/** AF_UNIX, SOCK_SEQPACKET, SOCK_NONBLOCK, SOCK_CLOEXEC. */
Descriptor openPacketSocket();
/** To a Unix socket of the file system. */
void connectToPath(int fd, const std::string& path);
/**
 * Sends one datagram, and with it these descriptors (SCM_RIGHTS), at most 16.
 *
 * @returns false for EAGAIN
 */
bool sendDatagram(int fd, Bytes bytes, const std::vector<int>& passed);
/** @returns one datagram, empty at the end; nothing for EAGAIN. EMSGSIZE: it has more than `maxLength` bytes */
std::optional<std::vector<uint8_t>> receiveDatagram(int fd, size_t maxLength);
/** Makes the number `over` name what `fd` names, close-on-exec; what it named before is closed. */
void replaceDescriptor(int fd, int over);
/** AF_UNIX, SOCK_STREAM, SOCK_NONBLOCK, SOCK_CLOEXEC. */
std::pair<Descriptor, Descriptor> openSocketPair();
/** FIONREAD: how many bytes have been received and not read. */
int unreadBytes(int fd);
void listenSocket(int fd, int backlog);
/** SOCK_NONBLOCK, SOCK_CLOEXEC. @returns an empty descriptor for EAGAIN */
Descriptor acceptSocket(int fd);
/** SO_ATTACH_FILTER. @param program struct sock_filter[] */
void attachFilter(int fd, Bytes program);
/** Reports what close(2) says, which a destructor cannot. The descriptor is closed in any case. */
void closeDescriptor(Descriptor descriptor);
/** SO_LINGER {1, 0}: closing the socket then sends a reset. */
void setResetOnClose(int fd);
std::vector<uint8_t> getOption(int fd, int level, int name, size_t maxLength);
/** The first four bytes. Empty if the socket's protocol has no such option. */
std::optional<int> getIntOption(int fd, int level, int name);
void setOption(int fd, int level, int name, Bytes value);
Endpoint socketName(int fd);
Endpoint peerName(int fd);

/** Two fields of TCP_INFO, of the first subflow if it is MPTCP; all zero if the kernel refuses. */
struct HandshakeProgress {
  /** Waiting for the SYN+ACK. */
  bool synSent = false;
  /** The SYN counts as one: more than zero means that the handshake completed, whatever came after. */
  uint64_t bytesAcked = 0;
};
HandshakeProgress handshakeProgress(int fd);
/** SO_ERROR. Reading it clears it. */
int socketError(int fd);

}  // namespace atsss
