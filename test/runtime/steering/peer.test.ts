/** Where further subflows may connect to, after what the peer has said. */
import { describe, expect, test } from 'vitest'
import type { AddressPort } from '../../../lib/runtime/network/path-manager.js'
import { wayOver } from '../../../lib/runtime/steering/actions.js'
import { Peer, PeerNews } from '../../../lib/runtime/steering/peer.js'

const FIRST = { address: '192.0.2.1', port: 443 }
const SIX = { address: '2001:db8::1', port: 443 }
const end = { remote: FIRST, family: 4 as const, isDual: true }
const announced = (address: string, port?: number, remoteId = 1) => {
  const family: 4 | 6 = address.includes(':') ? 6 : 4
  return { type: 'announced' as const, token: 7, remoteId, address, family, port }
}
const established = (denyJoinId0: boolean) => {
  const nowhere = { ...FIRST, family: 4 as const }
  return { type: 'established' as const, token: 7, local: nowhere, remote: nowhere, serverSide: false, denyJoinId0 }
}
const removed = (remoteId: number) => ({ type: 'removed' as const, token: 7, remoteId })

describe('a peer that says nothing', () => {
  test('the address that the connection was made to; others of the same host behind it', () => {
    expect(new Peer().places('3gpp', end)).toEqual([FIRST])
    expect(new Peer().places('3gpp', { ...end, others: [SIX] })).toEqual([FIRST, SIX])
  })

  test('a socket of one family has only subflows of that one', () => {
    expect(new Peer().places('3gpp', { ...end, others: [SIX], isDual: false })).toEqual([FIRST])
  })

  test('what worked over an access comes first there', () => {
    const peer = new Peer()
    peer.worked('3gpp', { address: '2001:db8:0::1', port: 443 })
    expect(peer.places('3gpp', { ...end, others: [SIX] })).toEqual([SIX, FIRST])
    expect(peer.places('non-3gpp', { ...end, others: [SIX] })).toEqual([FIRST, SIX])
  })
})

describe('RFC 8684: what a peer says', () => {
  test('§3.1, the C flag: never to the address and port of the first subflow, however it is known', () => {
    const peer = new Peer()
    peer.note(established(true))
    expect(peer.refusesFirst).toBe(true)
    expect(peer.places('3gpp', end)).toEqual([])
    const mapped = { address: '::ffff:192.0.2.1', port: 443 }
    expect(peer.places('3gpp', { ...end, others: [mapped] })).toEqual([])
    peer.note(announced('192.0.2.1', 443))
    expect(peer.places('3gpp', end)).toEqual([])
    peer.note(announced('192.0.2.1', 8443, 2))
    expect(peer.places('3gpp', end)).toEqual([{ address: '192.0.2.1', port: 8443 }])
  })

  test('§3.4.1, ADD_ADDR: with a port, and without, when it is the port of the connection', () => {
    const peer = new Peer()
    peer.note(announced('192.0.2.9', undefined, 1))
    peer.note(announced('2001:db8::9', 8443, 2))
    expect(peer.places('3gpp', end)).toEqual([
      FIRST,
      { address: '192.0.2.9', port: 443 },
      { address: '2001:db8::9', port: 8443 },
    ])
  })

  test('a peer that has made the connection listens only where it has announced a port', () => {
    const peer = new Peer()
    peer.note(announced('192.0.2.9', undefined, 1))
    expect(peer.places('3gpp', { remote: undefined, family: 4 })).toEqual([])
    peer.note(announced('192.0.2.9', 5350, 1))
    expect(peer.places('3gpp', { remote: undefined, family: 4 })).toEqual([{ address: '192.0.2.9', port: 5350 }])
    expect(peer.places('3gpp', { remote: undefined, family: 6 })).toEqual([])
  })

  test('announced again under the same id: the newer address counts', () => {
    const peer = new Peer()
    peer.note(announced('192.0.2.8', 443))
    peer.note(announced('192.0.2.9', 443))
    expect(peer.places('3gpp', end)).toEqual([FIRST, { address: '192.0.2.9', port: 443 }])
  })

  test('§3.4.2, REMOVE_ADDR: what is withdrawn is not used; the id 0 is the first address', () => {
    const peer = new Peer()
    peer.note(announced('192.0.2.9', 443, 3))
    peer.note(removed(3))
    expect(peer.places('3gpp', end)).toEqual([FIRST])
    peer.note(removed(0))
    expect(peer.places('3gpp', end)).toEqual([])
  })

  test.each([
    '127.0.0.1',
    '0.0.0.0',
    '169.254.1.1',
    '224.0.0.1',
    '255.255.255.255',
    '::1',
    '::',
    'fe80::1',
    'ff02::1',
    '::ffff:127.0.0.1',
  ])('nobody makes us connect to %s', address => {
    const peer = new Peer()
    peer.note(announced(address, 22))
    expect(peer.places('3gpp', end)).toEqual([FIRST])
  })

  test('another loop goes on with all of it', () => {
    const peer = new Peer()
    expect(peer.says).toEqual({})
    for (const event of [established(true), announced('192.0.2.9', undefined, 3), removed(0)]) peer.note(event)
    const next = new Peer(structuredClone(peer.says))
    expect(next.places('3gpp', end)).toEqual([{ address: '192.0.2.9', port: 443 }])
    expect(next.says).toEqual(peer.says)
    expect(peer.version).toBe(3)
  })
})

describe('before the session has handed the connection over', () => {
  test('what peers say is kept until then', () => {
    const news = new PeerNews()
    news.note(announced('192.0.2.9', 8443))
    expect(news.take(7)?.places('3gpp', end)).toHaveLength(2)
    expect(news.take(7)).toBeUndefined()
    expect(news.take(8)).toBeUndefined()
  })

  test('not beyond the end of a connection, and not without limit', () => {
    const news = new PeerNews()
    news.note(announced('192.0.2.9', 8443))
    news.ended(7)
    expect(news.take(7)).toBeUndefined()
    for (let token = 0; token <= 4_096; token++) news.note({ ...announced('192.0.2.9', 8443), token })
    expect(news.take(0)).toBeUndefined()
    expect(news.take(1)).toBeDefined()
    expect(news.take(4_096)).toBeDefined()
  })
})

describe('the way of a new subflow', () => {
  const links = (has: { 4?: string; 6?: string }, translator?: string) => ({
    address: (_: unknown, family: 4 | 6) => (has[family] ? { address: has[family], interfaceIndex: 3 } : undefined),
    awaitsRoute: () => false,
    translate: () => translator,
  })
  const connection = (places: AddressPort[], failures = 0, family: 4 | 6 = 4) => {
    const retry = { failures, notBefore: 0 }
    return { places: () => places, family, retries: { '3gpp': retry, 'non-3gpp': retry } }
  }
  const BOTH = { 4: '10.0.0.2', 6: 'fd00::2' }

  test('in the family that the access has', () => {
    expect(wayOver(connection([FIRST, SIX]), '3gpp', links({ 6: 'fd00::2' }))).toEqual({
      local: { address: 'fd00::2', interfaceIndex: 3 },
      remote: SIX,
    })
    expect(wayOver(connection([FIRST]), '3gpp', links({ 6: 'fd00::2' }))).toBeUndefined()
  })

  test('with both, the family of the first subflow; after a failure the other one', () => {
    expect(wayOver(connection([FIRST, SIX]), '3gpp', links(BOTH))?.remote).toBe(FIRST)
    expect(wayOver(connection([FIRST, SIX], 0, 6), '3gpp', links(BOTH))?.remote).toBe(SIX)
    expect(wayOver(connection([FIRST, SIX], 1), '3gpp', links(BOTH))?.remote).toBe(SIX)
    expect(wayOver(connection([FIRST, SIX], 2), '3gpp', links(BOTH))?.remote).toBe(FIRST)
  })

  test('by a translator only over an access without IPv4', () => {
    const translated = { address: '64:ff9b::c000:201', port: 443 }
    expect(wayOver(connection([FIRST]), '3gpp', links({ 6: 'fd00::2' }, translated.address))?.remote).toEqual(
      translated,
    )
    expect(wayOver(connection([FIRST]), '3gpp', links(BOTH, translated.address))?.remote).toBe(FIRST)
  })
})
