import { describe, expect, test } from 'vitest'
import { decodeTcpOptions, type TcpOption } from '../../../lib/wire/convert/index.js'
import { hex } from '../../support/hex.js'

describe('the options of a TCP header', () => {
  test.each<[string, string, [number, string][]]>([
    ['none', '', []],
    [
      'those of a Linux SYN+ACK',
      `02 04 05 b4  # MSS 1460
       04 02        # SACK permitted
       08 0a 00 00 00 01 00 00 00 02  # Timestamp
       01           # NOP
       03 03 07     # Window Scale
       1e 04 01 00  # Multipath TCP`,
      [
        [2, '05 b4'],
        [4, ''],
        [8, '00 00 00 01 00 00 00 02'],
        [3, '07'],
        [30, '01 00'],
      ],
    ],
    ['the end of the list ends it', '04 02 00 1e', [[4, '']]],
    ['only NOPs', '01 01 01 01', []],
    ['length 0: kept up to there', '04 02 1e 00 22 02', [[4, '']]],
    ['length 1', '04 02 1e 01', [[4, '']]],
    ['cut in its value', '04 02 1e 05 01 01', [[4, '']]],
    ['cut after its kind', '04 02 1e', [[4, '']]],
  ])('%s', (_name, bytes, options) => {
    const expected: TcpOption[] = options.map(([kind, value]) => ({ kind, value: hex(value) }))
    expect(decodeTcpOptions(hex(bytes))).toStrictEqual(expected)
  })
})
