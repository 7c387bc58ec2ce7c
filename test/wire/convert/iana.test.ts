import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { decodeErrorValue, ERROR_CODES } from '../../../lib/wire/convert/error.js'
import { decode, TLV_CODES } from '../../../lib/wire/convert/index.js'
import { hex } from '../../support/hex.js'

test('versions', () => {
  for (const [code, description] of registry('convert-versions')) {
    const bytes = Uint8Array.of(code, 1, 0x22, 0x63)
    if (description === 'Assigned') expect(decode(bytes)?.length).toBe(4)
    else expect(() => decode(bytes)).toThrow(expect.objectContaining({ reason: 'version' }))
  }
})

test('TLVs', () => {
  const [[reserved], ...assigned] = registry('convert-tlvs') as [[number, string], ...[number, string][]]
  // The registry has "Extension", RFC 8803 §6.2.4 "Extensions".
  const names = assigned.map(([code, name]) => [
    name.replace(/ TLV$/, '').replace('Extension', 'Extensions').toLowerCase().replaceAll(' ', '-'),
    code,
  ])
  expect(names).toEqual(Object.entries(TLV_CODES))
  expect(reserved).toBe(0)
  expect(() => decode(hex('01 02 22 63 00 01 00 00'))).toThrow(expect.objectContaining({ reason: 'reserved-type' }))
})

test('errors', () => {
  const names = registry('convert-errors').map(([code, name]) => [name.toLowerCase().replaceAll(' ', '-'), code])
  expect(names).toEqual(Object.entries(ERROR_CODES))
})

test('no other number has a name', () => {
  const errors = new Map(registry('convert-errors'))
  const tlvs = new Map(registry('convert-tlvs'))
  for (let code = 0; code < 256; code++) {
    const { name } = decodeErrorValue({ code, value: hex('00') })
    expect(name === 'unknown').toBe(!errors.has(code))
    if (!tlvs.has(code))
      expect(decode(Uint8Array.of(1, 2, 0x22, 0x63, code, 1, 0, 0))?.tlvs).toMatchObject([{ type: 'unknown', code }])
  }
})

function registry(name: string): [number, string][] {
  const [, ...lines] = readFileSync(new URL(`iana/${name}.csv`, import.meta.url), 'utf8')
    .trim()
    .split('\n')
  return lines.map(line => [Number(line.split(',')[0]), line.split(',')[1]!])
}
