import { expect, test } from 'vitest'
import type { AddressPort } from '../../../lib/runtime/network/path-manager.js'
import { Announced } from '../../../lib/runtime/steering/announced.js'
import type { Steered } from '../../../lib/runtime/steering/connection.js'

const steered = (token: number, family: 4 | 6 = 4, remote?: AddressPort): Steered => ({
  ...{ token, fd: 9, remote, family, rule: 0 },
})
const event = (token: number, port: number | undefined, family: 4 | 6 = 4) => ({
  ...{ type: 'announced' as const, token, remoteId: 1, port, family },
  address: family === 4 ? '192.0.2.1' : '2001:db8:c::1',
})

test('an address announced before its connection is known is there when the connection is', () => {
  const announced = new Announced()
  announced.note(event(7, 5350), undefined)
  expect(announced.completed(steered(7)).remote).toEqual({ address: '192.0.2.1', port: 5350 })
  expect(announced.completed(steered(8)).remote).toBeUndefined()
  expect(announced.completed(steered(7, 6)).remote).toBeUndefined()
})

test('an address announced after that: the connection has it at once', () => {
  const connection: Pick<Steered, 'remote' | 'family'> = { remote: undefined, family: 4 }
  new Announced().note(event(7, 5350), connection)
  expect(connection.remote).toEqual({ address: '192.0.2.1', port: 5350 })
})

test('an announced address does not replace the one that a connection already uses', () => {
  const announced = new Announced()
  const remote = { address: '192.0.2.1', port: 5124 }
  const connection = { remote, family: 4 as const }
  announced.note(event(7, 5350), connection)
  expect(connection.remote).toBe(remote)
  expect(announced.completed(steered(7, 4, remote)).remote).toBe(remote)
})

test('each family has its own; a connection does not get an address of the other family', () => {
  const announced = new Announced()
  const connection: Pick<Steered, 'remote' | 'family'> = { remote: undefined, family: 4 }
  announced.note(event(7, 5350, 6), connection)
  expect(connection.remote).toBeUndefined()
  announced.note(event(7, 5351), connection)
  expect(connection.remote?.port).toBe(5351)
  expect(announced.completed(steered(7, 6)).remote).toEqual({ address: '2001:db8:c::1', port: 5350 })
})

test('an address without a port is ignored', () => {
  const announced = new Announced()
  const connection: Pick<Steered, 'remote' | 'family'> = { remote: undefined, family: 4 }
  announced.note(event(7, undefined), connection)
  expect(connection.remote).toBeUndefined()
  expect(announced.completed(steered(7)).remote).toBeUndefined()
})

test('announced again: the newer address counts', () => {
  const announced = new Announced()
  announced.note(event(7, 5350), undefined)
  announced.note(event(7, 5351), undefined)
  expect(announced.completed(steered(7)).remote?.port).toBe(5351)
})

test('a peer that announces without end does not fill the memory: the oldest are forgotten', () => {
  const announced = new Announced()
  for (let token = 0; token < 4_097; token++) announced.note(event(token, 5350), undefined)
  expect(announced.completed(steered(0)).remote).toBeUndefined()
  expect(announced.completed(steered(1)).remote).toBeDefined()
  expect(announced.completed(steered(4_096)).remote).toBeDefined()
})
