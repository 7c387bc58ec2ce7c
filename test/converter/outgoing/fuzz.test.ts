import { setTimeout } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { hex } from '../../support/hex.js'
import { seeded } from '../../support/random.js'
import { connectTlv, echo, message, rig, serve, until } from '../rig.js'

test.each([1, 2, 3])(
  'hostile clients and servers (seed %i): all of it ends, and a good client is served',
  async seed => {
    const random = seeded(seed)
    const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)]!
    const good = await echo()
    const hostile = await serve(socket => {
      const what = random()
      if (what < 0.3) socket.resetAndDestroy()
      else if (what < 0.6) socket.end('early')
      else if (what < 0.8) socket.destroy()
      else socket.pipe(socket)
    })
    const { client, converter } = await rig({ messageTimeout: 200, connectTimeout: 200, errorsPerSecond: 1_000 })

    const bytes = () => {
      const tlvs = [
        hex('01010000'),
        hex('1602 0000 01020304'),
        hex('63010000'),
        connectTlv(0),
        connectTlv(good.port),
        connectTlv(hostile.port),
      ]
      const said = Buffer.concat([
        message(...Array.from({ length: 1 + random() * 3 }, () => pick(tlvs))),
        Buffer.alloc(pick([0, 5, 70_000]), 'x'),
      ])
      if (random() < 0.5) said[Math.floor(random() * Math.min(said.length, 40))] = random() * 256
      return said
    }
    await Promise.all(
      Array.from({ length: 300 }, async () => {
        await setTimeout(random() * 300)
        const { socket } = client()
        for (let rest = bytes(); rest.length > 0; ) {
          const cut = random() < 0.5 ? rest.length : Math.ceil(random() * rest.length)
          socket.write(rest.subarray(0, cut))
          rest = rest.subarray(cut)
          if (random() < 0.2) break
          await setTimeout(random() * 10)
        }
        await setTimeout(random() * 50)
        pick([() => socket.end(), () => socket.destroy(), () => socket.resetAndDestroy(), () => setTimeout(100)])()
        await setTimeout(random() * 300)
        socket.destroy()
      }),
    )
    await until(() => converter.stats().connections === 0)
    expect(await client(message(connectTlv(good.port))).hears(4)).toBe('01012263')
  },
  20_000,
)
