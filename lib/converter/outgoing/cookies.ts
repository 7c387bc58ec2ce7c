/**
 * Cookies that prove that a client receives what is sent to its address, RFC 8803 §6.2.7 after RFC 7413 §4.1.2. Nothing is
 * stored per client: a cookie is a MAC over the client's address under a key that changes every lifetime.
 *
 *    0                   1                   2                   3
 *   +---------------+-----------------------------------------------+
 *   |  Generation   |  HMAC-SHA256(secret, generation | address),   |
 *   +---------------+  the first 15 bytes                           |
 *   |                                                               |
 *   +---------------------------------------------------------------+
 *   Generation is the low byte of the number of lifetimes since 1970.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { CookieKey } from '../options/settings.js'

const COOKIE_LENGTH = 16

/** The cookie for `address` at `now` (milliseconds since 1970). */
export function bakeCookie(key: CookieKey, address: string, now: number): Uint8Array {
  return cookieOf(key.secret, address, generationAt(key, now))
}

/** Whether `cookie` was made for `address` in this lifetime or in the one before. */
export function isCookieValid(key: CookieKey, cookie: Uint8Array, address: string, now: number): boolean {
  if (cookie.length !== COOKIE_LENGTH) return false
  const current = generationAt(key, now)
  return [current, current - 1].some(
    generation =>
      cookie[0] === (generation & 0xff) && timingSafeEqual(cookie, cookieOf(key.secret, address, generation)),
  )
}

function generationAt(key: CookieKey, now: number): number {
  return Math.floor(now / key.lifetime)
}

function cookieOf(secret: Uint8Array, address: string, generation: number): Uint8Array {
  const mac = createHmac('sha256', secret).update(`${generation}|${address}`).digest()
  const cookie = new Uint8Array(COOKIE_LENGTH)
  cookie[0] = generation & 0xff
  cookie.set(mac.subarray(0, COOKIE_LENGTH - 1), 1)
  return cookie
}
