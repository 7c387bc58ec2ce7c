/**
 * Programs that let a listening socket ignore SYNs: classic BPF (Documentation/networking/filter.rst, linux/filter.h), run
 * by the kernel on each segment, from its TCP header on. What they do not let pass is dropped silently.
 */
import { isIPv4 } from 'node:net'
import { ADDRESS_LENGTH, parseAddress } from '../../wire/bytes/address.js'
import { HOST_ENDIAN } from '../../wire/kernel/struct.js'
import type { FilterOption } from '../../wire/pcp/index.js'

/** Lets nothing pass. */
export function ignoreAll(): Uint8Array {
  return assemble([RETURN_NOTHING])
}

/** Lets pass the peers that one of the filters names; all of them if there is no filter. @param family of the listening socket */
export function onlyPeers(filters: readonly FilterOption[], family: 4 | 6): Uint8Array {
  if (filters.length === 0) return assemble([RETURN_ALL])
  const ofFamily = filters.filter(({ address }) => isIPv4(address) === (family === 4))
  return assemble([...ofFamily.flatMap(filter => passes(filter, family)), RETURN_NOTHING])
}

interface Instruction {
  code: number
  /** How many instructions to skip if the condition holds, and if not. */
  whenTrue?: number
  whenFalse?: number
  k: number
}

/** Accepts if all conditions hold; otherwise continues with the instruction after it. */
function passes({ address, prefixLength, port }: FilterOption, family: 4 | 6): Instruction[] {
  const bytes = new Uint8Array(ADDRESS_LENGTH)
  parseAddress(address, bytes, 0)
  const from = family === 4 ? 12 : 0
  const view = new DataView(bytes.buffer)
  const conditions: Instruction[][] = []
  for (let word = 0; word * 32 < prefixLength; word++) {
    const bits = Math.min(prefixLength - word * 32, 32)
    const mask = (0xffff_ffff << (32 - bits)) >>> 0
    conditions.push([
      { code: LOAD_WORD, k: (NETWORK_HEADER + SOURCE_ADDRESS[family] + 4 * word) >>> 0 },
      { code: AND, k: mask },
      { code: JUMP_EQUAL, k: (view.getUint32(from + 4 * word) & mask) >>> 0 },
    ])
  }
  if (port !== 0)
    conditions.push([
      { code: LOAD_HALF, k: SOURCE_PORT },
      { code: JUMP_EQUAL, k: port },
    ])
  const program = [...conditions.flat(), RETURN_ALL]
  return program.map((instruction, i) =>
    instruction.code === JUMP_EQUAL ? { ...instruction, whenFalse: program.length - 1 - i } : instruction,
  )
}

/** struct sock_filter {u16 code; u8 jt, jf; u32 k} */
function assemble(program: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(8 * program.length)
  const view = new DataView(bytes.buffer)
  const little = HOST_ENDIAN === 'LE'
  for (const [i, { code, whenTrue = 0, whenFalse = 0, k }] of program.entries()) {
    view.setUint16(8 * i, code, little)
    view.setUint8(8 * i + 2, whenTrue)
    view.setUint8(8 * i + 3, whenFalse)
    view.setUint32(8 * i + 4, k, little)
  }
  return bytes
}

// linux/bpf_common.h: class, size, mode.
const LOAD_WORD = 0x20
const LOAD_HALF = 0x28
const AND = 0x54
const JUMP_EQUAL = 0x15
const RETURN = 0x06
/** linux/filter.h, SKF_NET_OFF: offsets from this one count from the IP header. */
const NETWORK_HEADER = -0x100000
const SOURCE_ADDRESS = { 4: 12, 6: 8 } as const
/** In the TCP header. */
const SOURCE_PORT = 0
const RETURN_NOTHING: Instruction = { code: RETURN, k: 0 }
const RETURN_ALL: Instruction = { code: RETURN, k: 0xffff_ffff }
