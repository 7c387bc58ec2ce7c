/** Connecting on loopback: how long one takes, and how many there are in a second. */
import { percentile } from '../statistics.js'
import { connectAndLeave, inParallel } from './connection.js'
import type { Trial } from './trial.js'

/** For the compiler to have seen the code. */
const WARM_UP = 500
const IN_FLIGHT = 64

export const connect: Trial = async ({ contender, place, size }) => {
  for (let count = 0; count < Math.min(size, WARM_UP); count++) await connectAndLeave(contender, place)
  const times: number[] = []
  for (let count = 0; count < size; count++) times.push(1000 * (await connectAndLeave(contender, place)))
  return { p50: percentile(times, 50), p99: percentile(times, 99) }
}

/** Of this process: everything that the first one has to do is in it, except loading the modules. */
export const firstConnection: Trial = async ({ contender, place }) => ({
  connect: await connectAndLeave(contender, place),
})

export const connects: Trial = async ({ contender, place, size }) => {
  const act = () => connectAndLeave(contender, place)
  await act()
  await inParallel(Math.min(size, WARM_UP), IN_FLIGHT, act)
  const cpuBefore = process.cpuUsage()
  const began = performance.now()
  await inParallel(size, IN_FLIGHT, act)
  const seconds = (performance.now() - began) / 1000
  const { user, system } = process.cpuUsage(cpuBefore)
  return { perSecond: size / seconds, cpu: (user + system) / size }
}
