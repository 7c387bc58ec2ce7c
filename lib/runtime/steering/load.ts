/** What connections carry, as the load balance sees it; and the send buffers that it wants. */

import type { AccessType } from '../../policy/rules/rule.js'
import type { ConnectionLoad } from '../../policy/steering/load-balance.js'
import { int, SO_SNDBUF, SO_SNDBUFFORCE, SOL_SOCKET } from '../kernel/constants.js'
import { native } from '../kernel/native.js'
import { tokenOf } from '../kernel/open-socket.js'

/** One established subflow. */
export interface SubflowLoad {
  /** Bytes that the kernel has assigned to it since the sample before. */
  assigned: number
  /** Bytes received on it since the sample before. */
  received: number
  /** Bytes in its own queue that were never sent. */
  queued: number
  /** The smallest round-trip time measured on it, in milliseconds; 0: none yet. */
  minRttMs: number
}

/** All bytes that the kernel has ever assigned to a subflow: sent for the first time, or queued. */
export function assignedTo(subflow: { bytesSent: number; bytesRetrans: number; notsentBytes: number }): number {
  return subflow.bytesSent - subflow.bytesRetrans + subflow.notsentBytes
}

/** @param subflows its established ones; none while it is idle */
export function loadOf(
  token: number,
  subflows: readonly (SubflowLoad & { access: AccessType | undefined })[],
): ConnectionLoad {
  const load: ConnectionLoad & { readonly [key in keyof SubflowLoad]: Record<AccessType, number> } = {
    token,
    assigned: { '3gpp': 0, 'non-3gpp': 0 },
    received: { '3gpp': 0, 'non-3gpp': 0 },
    queued: { '3gpp': 0, 'non-3gpp': 0 },
    minRttMs: { '3gpp': 0, 'non-3gpp': 0 },
    movable: subflows.some(at => at.access === '3gpp') && subflows.some(at => at.access === 'non-3gpp'),
  }
  for (const { access, assigned, received, queued, minRttMs } of subflows) {
    if (!access) continue
    load.assigned[access] += assigned
    load.received[access] += received
    load.queued[access] += queued
    load.minRttMs[access] = Math.max(load.minRttMs[access], minRttMs)
  }
  return load
}

/** All connections as one, with the token 0: where they can only be moved together. */
export function combined(all: readonly ConnectionLoad[]): ConnectionLoad {
  const sum = (of: (one: ConnectionLoad) => number) => all.reduce((total, one) => total + of(one), 0)
  const most = (of: (one: ConnectionLoad) => number) => all.reduce((found, one) => Math.max(found, of(one)), 0)
  return {
    token: 0,
    assigned: { '3gpp': sum(one => one.assigned['3gpp']), 'non-3gpp': sum(one => one.assigned['non-3gpp']) },
    received: { '3gpp': sum(one => one.received['3gpp']), 'non-3gpp': sum(one => one.received['non-3gpp']) },
    queued: { '3gpp': sum(one => one.queued['3gpp']), 'non-3gpp': sum(one => one.queued['non-3gpp']) },
    minRttMs: { '3gpp': most(one => one.minRttMs['3gpp']), 'non-3gpp': most(one => one.minRttMs['non-3gpp']) },
    movable: all.some(one => one.movable),
  }
}

/**
 * Sets the send buffer of a connection and its subflows, in bytes as the kernel counts. The kernel does not grow it any more.
 * Without CAP_NET_ADMIN at most net.core.wmem_max. Does nothing if the descriptor is another connection's by now.
 */
export function setSendBuffer(fd: number, token: number, bytes: number): void {
  if (tokenOf(fd) !== token) return
  // The kernel doubles the value.
  const value = int(Math.round(bytes / 2))
  try {
    native().setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, value)
  } catch {
    native().setsockopt(fd, SOL_SOCKET, SO_SNDBUF, value)
  }
}
