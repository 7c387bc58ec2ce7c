import { closeSync, fstatSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { native } from '../../lib/runtime/kernel/native.js'
import { Completions, int, leavesNothing, TCP } from '../support/native-addon.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'

const addon = native()
const { reactor } = new Completions(addon)
leavesNothing(addon)

const descriptors = () => readdirSync('/proc/self/fd').length

test('what the addon did not open it does not touch', () => {
  const foreign = openSync('/dev/null', 'r+')
  for (const fd of [foreign, 0, 1, 2, -1, 999_999, 2 ** 31 - 1])
    for (const [syscall, call] of [
      ['bind', () => addon.bind(fd, '127.0.0.1', 0)],
      ['connect', () => addon.connect(fd, '127.0.0.1', 1)],
      ['connect', () => addon.sendFastOpen(fd, '127.0.0.1', 1, new Uint8Array(1))],
      ['send', () => addon.send(fd, new Uint8Array(1))],
      ['shutdown', () => addon.shutdown(fd)],
      ['listen', () => addon.listen(fd, 1)],
      ['sendto', () => addon.sendNetlink(fd, new Uint8Array(16))],
      ['recvfrom', () => addon.receiveNetlink(fd)],
      ['close', () => addon.close(fd)],
      ['close', () => addon.reset(fd)],
      ['release', () => addon.release(fd)],
      ['epoll_ctl', () => reactor.awaitConnected(fd)],
      ['epoll_ctl', () => reactor.awaitBytes(fd, 1)],
    ] as const)
      expect(call).toThrow(`${syscall} EBADF`)
  fstatSync(foreign)
  closeSync(foreign)
})

test('closed, reset or released: the addon does not own it any more', () => {
  const before = descriptors()
  for (const end of [addon.close, addon.reset, addon.release]) {
    const fd = addon.socket(4, TCP)
    expect(addon.counts().descriptors).toBe(1)
    end(fd)
    expect(addon.counts().descriptors).toBe(0)
    for (const again of [addon.close, addon.reset, addon.release]) expect(() => again(fd)).toThrow('EBADF')
    if (end === addon.release) closeSync(fd)
    else expect(() => fstatSync(fd)).toThrow('EBADF')
  }
  expect(descriptors()).toBe(before)
})

test('a pair of sockets: both ends are owned, and what is written to one is read from the other', () => {
  const before = descriptors()
  const [one, other] = addon.socketPair()
  expect(addon.counts().descriptors).toBe(2)
  expect(addon.send(one, Buffer.from('hello'))).toBe(5)
  expect(addon.unread(other)).toBe(5)
  for (const fd of [one, other]) addon.close(fd)
  expect(descriptors()).toBe(before)
})

test('a descriptor takes the place of another: the number stays, what it named is closed, neither changes its owner', () => {
  const before = descriptors()
  const [one, other] = addon.socketPair()
  const foreign = openSync('/dev/null', 'r')
  addon.replace(one, foreign)
  addon.close(one)
  expect(addon.counts().descriptors).toBe(1)
  expect(addon.send(other, Buffer.from('hello'))).toBe(5)
  expect(addon.unread(foreign)).toBe(5) // it is the end that was closed under its first number
  expect(readFileSync(`/proc/self/fdinfo/${foreign}`, 'utf8')).toMatch(/flags:\s+02\d{6}/) // O_CLOEXEC
  expect(() => addon.close(foreign)).toThrow('close EBADF')
  expect(() => addon.replace(foreign, other)).toThrow('dup3 EBADF')
  addon.close(other)
  closeSync(foreign)
  expect(descriptors()).toBe(before)
})

requires('MPTCP', mptcp)('a thousand sockets, and none is left', () => {
  const before = descriptors()
  for (let round = 0; round < 1000; round++) {
    const fd = addon.socket(round % 2 ? 4 : 6, round % 3 ? 262 : TCP)
    if (round % 5 === 0) reactor.awaitConnected(fd)
    if (round % 7 === 0) addon.setsockopt(fd, 1, 2, int(1))
    if (round % 2) addon.close(fd)
    else addon.reset(fd)
  }
  expect(descriptors()).toBe(before)
})

test('a duplicate of any descriptor is owned, and its original is not', () => {
  const before = descriptors()
  const foreign = openSync('/dev/null', 'r')
  const copy = addon.duplicate(foreign)
  expect(addon.counts().descriptors).toBe(1)
  expect(() => addon.close(foreign)).toThrow('close EBADF')
  addon.close(copy)
  fstatSync(foreign)
  closeSync(foreign)
  expect(() => addon.duplicate(foreign)).toThrow('fcntl EBADF')
  expect(descriptors()).toBe(before)
})

test('reset closes what cannot be reset, and says why', () => {
  const foreign = openSync('/dev/null', 'r')
  const before = descriptors()
  const copy = addon.duplicate(foreign)
  expect(() => addon.reset(copy)).toThrow('setsockopt ENOTSOCK')
  expect(addon.counts().descriptors).toBe(0)
  expect(descriptors()).toBe(before)
  expect(() => addon.close(copy)).toThrow('close EBADF')
  closeSync(foreign)
})

test('a socket that cannot be opened leaves nothing', () => {
  const before = descriptors()
  for (let round = 0; round < 100; round++) expect(() => addon.socket(4, 17)).toThrow('socket EPROTONOSUPPORT')
  expect(descriptors()).toBe(before)
})

test('a descriptor is not passed on to child processes, and never blocks', () => {
  const O_CLOEXEC = 0o2000000
  const O_NONBLOCK = 0o4000
  const socket = addon.socket(4, TCP)
  for (const fd of [socket, addon.duplicate(socket)]) {
    const { flags } = /flags:\s+(?<flags>\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))!.groups!
    expect(Number.parseInt(flags!, 8) & (O_CLOEXEC | O_NONBLOCK)).toBe(O_CLOEXEC | O_NONBLOCK)
    addon.close(fd)
  }
})
