/** Reads the counters of the lab's links, so that the shares of the accesses are what the links carried, not what we claim. */
import { setTimeout as wait } from 'node:timers/promises'
import type { Lab } from 'atsss/lab'
import type { Direction } from './content.js'

/** Bytes since the lab was opened, headers included, at a time (`Date.now()`). */
export interface Reading {
  at: number
  wifi: number
  cell: number
}

/** Of both directions. */
type Readings = Record<Direction, Reading>

const PERIOD_MS = 100

export class Meter {
  readonly #readings: Readings[] = []
  readonly #lab: Lab
  #running = true
  #loop: Promise<void>

  constructor(lab: Lab) {
    this.#lab = lab
    this.#loop = this.#run()
  }

  async read(): Promise<Readings> {
    const asked = Date.now()
    const [wifi, cell] = await Promise.all(['wifi', 'cell'].map(name => this.#lab.link(name).stats()))
    const at = (asked + Date.now()) / 2
    return {
      up: { at, wifi: wifi!.uplink.bytes, cell: cell!.uplink.bytes },
      down: { at, wifi: wifi!.downlink.bytes, cell: cell!.downlink.bytes },
    }
  }

  between(from: number, to: number, direction: Direction): Reading[] {
    return this.#readings.map(both => both[direction]).filter(({ at }) => at >= from && at <= to)
  }

  stop(): Promise<void> {
    this.#running = false
    return this.#loop
  }

  async #run(): Promise<void> {
    while (this.#running) {
      this.#readings.push(await this.read())
      await wait(PERIOD_MS)
    }
  }
}
