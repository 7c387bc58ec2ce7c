/** System errors in words, for the person at the terminal. */

type SystemError = NodeJS.ErrnoException & { port?: number }

/** The message, and what the error means where it is Node's or the kernel's own. Pure. */
export function systemErrorInWords({ code = '', message, syscall = '', path, port }: SystemError): string {
  // Other messages say it already.
  if (path !== undefined && message.startsWith(`${code}: `)) {
    const reason = OF_FILES[code]
    return reason === undefined ? message : `${path}: ${reason} (${code})`
  }
  if (syscall !== 'listen' && syscall !== 'bind') return message
  if (code === 'EACCES' && port !== undefined && port < 1024)
    return `${message}: a port below 1024 needs root (sudo) or CAP_NET_BIND_SERVICE, or choose another port`
  const hint = OF_LISTENERS[code]
  return hint === undefined ? message : `${message}: ${hint}`
}

const OF_FILES: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  EACCES: 'this user may not open it',
  EPERM: 'this user may not do this',
  EISDIR: 'this is a folder, not a file',
  ENOTDIR: 'a part of this path is a file, not a folder',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
}

const OF_LISTENERS: Readonly<Record<string, string>> = {
  EADDRNOTAVAIL: 'no interface of this machine has this address',
  EADDRINUSE: 'another program listens there: end it, or choose another port',
}
