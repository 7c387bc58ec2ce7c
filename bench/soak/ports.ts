/** Where the servers of the soak listen. */
export const PORTS = {
  stream: 7,
  http: 80,
  https: 443,
  http2: 8443,
  mqtt: 1883,
  postgres: 5432,
  redis: 6379,
  grpc: 50051,
} as const
