/** What can be soaked: the names of `LIBRARIES`, without loading them, and `stream`, a socket of the session itself. */
export const LIBRARY_NAMES: readonly string[] = [
  ...['stream', 'undici', 'axios', 'got', 'fetch', 'http2'],
  ...['ws', 'mqtt', 'grpc', 'ioredis', 'pg'],
]
