/**
 * One emulated link of a lab: changed, counted and captured while it carries traffic.
 */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { readPcap } from './capture.js'
import type { Emulator } from './emulator.js'
import type { Packet } from './packet.js'
import { commandsFor, type LinkChange, type LinkProfile, together } from './profile.js'

/** What happened in one direction since the lab was opened. */
export interface DirectionStats {
  /** Delivered. */
  packets: number
  /** Delivered, as IP packets. */
  bytes: number
  /** Changed by `mangle` and sent on. */
  mangled: number
  /** Lost, by cause. */
  dropped: { down: number; mangling: number; loss: number; queue: number }
  /** Waiting at this moment for those before them. */
  queuedPackets: number
  queuedBytes: number
}

export interface LinkStats {
  /** From the UE to the network. */
  uplink: DirectionStats
  /** From the network to the UE. */
  downlink: DirectionStats
}

/** The end of a link whose packets are captured: those that it sends, and those that arrive there. */
export type LinkEnd = 'ue' | 'network'

export interface Capture {
  readonly file: string
  /** The packets captured so far. */
  packets(): Promise<Packet[]>
  /** Ends the capture; the file is complete then. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export interface Link {
  readonly name: string
  /** Its present settings. */
  readonly present: Readonly<LinkChange>
  /** Resolves when the change is in force. Settings that are left out stay as they are. */
  set(change: LinkChange): Promise<void>
  stats(): Promise<LinkStats>
  /**
   * Writes every packet to a pcap file (nanoseconds, raw IP) as one end of the link sees it: at the UE's end before the
   * middlebox, at the network's end after it (for packets from the UE). One capture per end; a new one ends the one before.
   */
  capture(file: string, options?: { end?: LinkEnd }): Promise<Capture>
}

export class EmulatedLink implements Link {
  readonly name: string
  readonly #emulator: Emulator
  readonly #captures: { [end in LinkEnd]?: Capture } = {}
  #present: LinkChange

  /** @param profile the settings that the emulator already has */
  constructor(name: string, emulator: Emulator, profile: LinkProfile) {
    this.name = name
    this.#emulator = emulator
    this.#present = { ...profile, carrier: true, down: false }
  }

  get present(): LinkChange {
    return this.#present
  }

  async set(change: LinkChange): Promise<void> {
    await Promise.all(commandsFor(this.name, change).map(words => this.#emulator.command(words)))
    this.#present = together(this.#present, change)
  }

  async stats(): Promise<LinkStats> {
    return (await this.#emulator.command(`stats ${this.name}`)) as LinkStats
  }

  async capture(file: string, { end = 'ue' }: { end?: LinkEnd } = {}): Promise<Capture> {
    const path = resolve(file)
    const stop = async () => {
      if (this.#captures[end] !== capture) return
      delete this.#captures[end]
      await this.#emulator.command(`capture ${this.name} ${end}`)
    }
    const packets = async () => {
      if (this.#captures[end] === capture) await this.#emulator.command(`flush ${this.name}`)
      return readPcap(await readFile(path))
    }
    const capture: Capture = { file: path, packets, stop, [Symbol.asyncDispose]: stop }
    this.#captures[end] = capture
    await this.#emulator.command(`capture ${this.name} ${end} ${path}`)
    return capture
  }
}
