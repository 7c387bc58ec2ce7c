// The syscalls on sockets: one per function. Each returns what the kernel returned, or throws a SystemError.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "address.h"

namespace atsss {

/** Bytes that belong to somebody else. */
struct Bytes {
  const uint8_t* data = nullptr;
  size_t size = 0;
};

/** SOCK_STREAM, SOCK_NONBLOCK, SOCK_CLOEXEC. @param family 4 or 6 */
int openSocket(int family, int protocol);
/** SOCK_DGRAM, SOCK_NONBLOCK, SOCK_CLOEXEC. */
int openDatagramSocket(int family);
void bindSocket(int fd, const std::string& address, uint16_t port);
/** @returns whether the connection is there already */
bool connectSocket(int fd, const std::string& address, uint16_t port);
/** MSG_FASTOPEN. @returns how many bytes were taken, 0 while connecting without them (EINPROGRESS) */
size_t sendFastOpen(int fd, const std::string& address, uint16_t port, Bytes bytes);
/** @returns how many bytes were taken, 0 for EAGAIN */
size_t sendBytes(int fd, Bytes bytes);
/** SHUT_WR: the peer gets a FIN after what is queued. */
void shutdownSocket(int fd);
/** Close-on-exec. */
int duplicateDescriptor(int fd);
/** FIONREAD: how many bytes have been received and not read. */
int unreadBytes(int fd);
void listenSocket(int fd, int backlog);
/** SOCK_NONBLOCK, SOCK_CLOEXEC. @returns -1 for EAGAIN */
int acceptSocket(int fd);
/** SO_ATTACH_FILTER. @param program struct sock_filter[] */
void attachFilter(int fd, Bytes program);
void closeSocket(int fd);
/** SO_LINGER {1, 0}: the close that follows is a reset. */
void lingerNot(int fd);
std::vector<uint8_t> getOption(int fd, int level, int name, size_t maxLength);
void setOption(int fd, int level, int name, Bytes value);
Endpoint socketName(int fd);
Endpoint peerName(int fd);

/** Two fields of TCP_INFO, of the first subflow if it is MPTCP; all zero when the kernel refuses. */
struct TcpInfo {
  uint8_t state = 0;
  /** The SYN counts as one: more than zero means that the handshake was completed, whatever came after. */
  uint64_t bytesAcked = 0;
};
TcpInfo tcpInfo(int fd);
/** SO_ERROR, which is cleared by reading it. */
int socketError(int fd);

}  // namespace atsss
