/** Netlink sockets beside other processes. */
import { spawnSync } from 'node:child_process'
import { readFileSync, readlinkSync } from 'node:fs'
import { expect } from 'vitest'
import { native } from '../../lib/runtime/kernel/native.js'
import { NETLINK_ROUTE } from '../../lib/runtime/network/netlink.js'
import { hex } from '../support/hex.js'
import { all, root } from '../support/probes.js'
import { requires } from '../support/requires.js'

const python = () => spawnSync('python3', ['-V']).error?.message

requires('root and python3', all(root, python))('what another process sends is not taken for the kernel’s', () => {
  const addon = native()
  const fd = addon.netlinkSocket(NETLINK_ROUTE, 0)
  try {
    const [, inode] = /\[(\d+)\]/.exec(readlinkSync(`/proc/self/fd/${fd}`))!
    const lines = readFileSync('/proc/net/netlink', 'utf8').split('\n')
    const port = Number(
      lines
        .find(line => line.trim().endsWith(inode!))!
        .trim()
        .split(/\s+/)[2],
    )
    const forge = `
import socket, struct
message = struct.pack('=IHHII', 16, 3, 0, 1, 0)
socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).sendto(message, (${port}, 0))`
    expect(spawnSync('python3', ['-c', forge], { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' })
    // It is there: the kernel's answer comes behind it.
    addon.sendNetlink(fd, hex('10000000 1200 0500 07000000 00000000'))
    const [first, second] = [addon.receiveNetlink(fd), addon.receiveNetlink(fd)]
    expect(first?.readUInt16LE(4)).toBe(2) // NLMSG_ERROR
    expect(second).toBeUndefined()
  } finally {
    addon.close(fd)
  }
})
