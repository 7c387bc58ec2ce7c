import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { ClientTurns } from '../../../lib/converter/relay/turns.js'

const PIECE = 65_536

/** Connections that always have a piece to relay, unless they wait. @returns how many pieces each has relayed */
async function relayed(turns: number, connections: number, client: ClientTurns): Promise<number[]> {
  const pieces = new Array<number>(connections).fill(0)
  const waits = new Array<boolean>(connections).fill(false)
  for (let turn = 0; turn < turns; turn++) {
    for (let number = 0; number < connections; number++) {
      if (waits[number]) continue
      pieces[number]!++
      waits[number] = !client.take(PIECE, () => {
        waits[number] = false
      })
    }
    await nextTurn()
  }
  return pieces
}

test('sixteen pieces in each turn: no connection waits', async () => {
  expect(await relayed(20, 16, new ClientTurns())).toEqual(new Array(16).fill(20))
})

test('of many, each turn relays sixteen pieces, and all connections have the same share', async () => {
  const pieces = await relayed(101, 400, new ClientTurns())
  // In the first turn each has one before it learns that it waits, and sixteen learn it a turn later.
  expect(pieces.reduce((sum, one) => sum + one, 0)).toBe(400 + 16 + 100 * 16)
  expect([Math.min(...pieces), Math.max(...pieces)]).toEqual([5, 6])
})

test('small messages of many connections fit into one turn', async () => {
  const client = new ClientTurns()
  const may = Array.from({ length: 1_000 }, () => client.take(1_000, () => {}))
  expect(may.every(Boolean)).toBe(true)
  await nextTurn()
})

test('clients do not wait for each other', async () => {
  const [greedy, modest] = [new ClientTurns(), new ClientTurns()]
  for (let i = 0; i < 1_000; i++) greedy.take(PIECE, () => {})
  expect(modest.take(PIECE, () => {})).toBe(true)
  await nextTurn()
})

test('a single stream of one client, too, leaves room to others', async () => {
  const client = new ClientTurns()
  const may = Array.from({ length: 32 }, () => client.take(PIECE, () => {}))
  expect(may.indexOf(false)).toBe(16)
  await nextTurn()
})
