/** What connections carry, in the load balance's terms; and the send buffers that it wants. */

import type { AccessType } from '../../policy/rules/rule.js'
import type { Carrying } from '../../policy/steering/load-balance.js'
import { int, SO_SNDBUF, SO_SNDBUFFORCE, SOL_SOCKET } from '../kernel/constants.js'
import { native } from '../kernel/native.js'
import { tokenOf } from '../kernel/open-socket.js'

/** What one established subflow has told. */
export interface Given {
  /** Bytes given to it since the look before. */
  given: number
  /** Bytes that wait in it, never sent. */
  waiting: number
  /** The least round-trip time seen on it, in milliseconds. */
  leastRttMs: number
}

/** All that the kernel has ever given to a subflow: sent for the first time, or waiting to be. */
export function givenTo(subflow: { bytesSent: number; bytesRetrans: number; notsentBytes: number }): number {
  return subflow.bytesSent - subflow.bytesRetrans + subflow.notsentBytes
}

/** @param carried by its established subflows; none while it rests */
export function carryingOf(token: number, carried: readonly (Given & { access: AccessType })[]): Carrying {
  const one: Carrying & { readonly [key in 'given' | 'waiting' | 'leastRttMs']: Record<AccessType, number> } = {
    token,
    given: { '3gpp': 0, 'non-3gpp': 0 },
    waiting: { '3gpp': 0, 'non-3gpp': 0 },
    leastRttMs: { '3gpp': 0, 'non-3gpp': 0 },
    movable: carried.some(at => at.access === '3gpp') && carried.some(at => at.access === 'non-3gpp'),
  }
  for (const { access, given, waiting, leastRttMs } of carried) {
    one.given[access] += given
    one.waiting[access] += waiting
    one.leastRttMs[access] = leastRttMs
  }
  return one
}

/** As one connection, with the token 0: where all of them can only be moved together. */
export function together(all: readonly Carrying[]): Carrying {
  const sum = (of: (one: Carrying) => number) => all.reduce((total, one) => total + of(one), 0)
  const most = (of: (one: Carrying) => number) => all.reduce((found, one) => Math.max(found, of(one)), 0)
  return {
    token: 0,
    given: { '3gpp': sum(one => one.given['3gpp']), 'non-3gpp': sum(one => one.given['non-3gpp']) },
    waiting: { '3gpp': sum(one => one.waiting['3gpp']), 'non-3gpp': sum(one => one.waiting['non-3gpp']) },
    leastRttMs: { '3gpp': most(one => one.leastRttMs['3gpp']), 'non-3gpp': most(one => one.leastRttMs['non-3gpp']) },
    movable: all.some(one => one.movable),
  }
}

/**
 * Of a connection and its subflows, in bytes as the kernel counts. From then on the kernel does not grow it by itself.
 * Without CAP_NET_ADMIN at most net.core.wmem_max. Does nothing when the descriptor is another connection's by now.
 */
export function setSendBuffer(fd: number, token: number, bytes: number): void {
  if (tokenOf(fd) !== token) return
  // The kernel doubles what it is told.
  const value = int(Math.round(bytes / 2))
  try {
    native().setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, value)
  } catch {
    native().setsockopt(fd, SOL_SOCKET, SO_SNDBUF, value)
  }
}
