/*
 * For LD_PRELOAD. By the environment:
 *   NO_MPTCP_INFO=1     Linux 5.6 to 5.15: options of SOL_MPTCP cannot be read (EOPNOTSUPP), Fast Open neither
 *   NO_FAST_OPEN=1      Linux before 6.2: no Fast Open on MPTCP sockets (ENOPROTOOPT, EOPNOTSUPP)
 *   DENY_MPTCP=ERRNO    a sandbox: socket(…, IPPROTO_MPTCP) fails with this errno
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#define IPPROTO_MPTCP 262
#define SOL_TCP 6
#define SOL_MPTCP 284
#define TCP_FASTOPEN 23
#define TCP_FASTOPEN_NO_COOKIE 34

static int (*real_getsockopt)(int, int, int, void *, socklen_t *);

static int is_mptcp(int fd) {
  int protocol = 0;
  socklen_t size = sizeof protocol;
  return real_getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 && protocol == IPPROTO_MPTCP;
}

__attribute__((constructor)) static void find(void) { real_getsockopt = dlsym(RTLD_NEXT, "getsockopt"); }

int getsockopt(int fd, int level, int name, void *value, socklen_t *size) {
  if (level == SOL_MPTCP && getenv("NO_MPTCP_INFO")) {
    errno = EOPNOTSUPP;
    return -1;
  }
  return real_getsockopt(fd, level, name, value, size);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t size) {
  int (*real)(int, int, int, const void *, socklen_t) = dlsym(RTLD_NEXT, "setsockopt");
  if (level == SOL_TCP && (name == TCP_FASTOPEN || name == TCP_FASTOPEN_NO_COOKIE) && is_mptcp(fd)) {
    errno = getenv("NO_MPTCP_INFO") ? EOPNOTSUPP : ENOPROTOOPT;
    if (getenv("NO_MPTCP_INFO") || getenv("NO_FAST_OPEN")) return -1;
  }
  return real(fd, level, name, value, size);
}

ssize_t sendto(int fd, const void *bytes, size_t length, int flags, const struct sockaddr *to, socklen_t size) {
  ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "sendto");
  if ((flags & MSG_FASTOPEN) && getenv("NO_FAST_OPEN") && is_mptcp(fd)) {
    errno = EOPNOTSUPP;
    return -1;
  }
  return real(fd, bytes, length, flags, to, size);
}

int socket(int domain, int type, int protocol) {
  int (*real)(int, int, int) = dlsym(RTLD_NEXT, "socket");
  const char *denied = getenv("DENY_MPTCP");
  if (protocol == IPPROTO_MPTCP && denied) {
    errno = atoi(denied);
    return -1;
  }
  return real(domain, type, protocol);
}
