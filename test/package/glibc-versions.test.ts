import { expect, test } from 'vitest'
import { newerThan, versionsNeeded } from '../../scripts/glibc-versions.js'

test('versions are compared by number, part by part', () => {
  expect(newerThan('2.28', '2.3.4')).toBe(true)
  expect(newerThan('2.3.4', '2.3')).toBe(true)
  expect(newerThan('2.28', '2.28')).toBe(false)
  expect(newerThan('2.9', '2.28')).toBe(false)
})

test('what readelf says: each version once, the oldest first, and no other library', () => {
  // readelf --version-info of an addon linked on Debian 12, shortened.
  const info = `
Version needs section '.gnu.version_r' contains 2 entries:
 Addr: 0x00000000000029d0  Offset: 0x000029d0  Link: 4 (.dynstr)
  000000: Version: 1  File: libgcc_s.so.1  Cnt: 1
  0x0010:   Name: GCC_3.0  Flags: none  Version: 3
  0x0020: Version: 1  File: libc.so.6  Cnt: 3
  0x0030:   Name: GLIBC_2.34  Flags: none  Version: 6
  0x0040:   Name: GLIBC_2.3.2  Flags: none  Version: 5
  0x0050:   Name: GLIBC_2.14  Flags: none  Version: 4
  000:   0 (*local*)       2 (GLIBC_2.34)    4 (GLIBC_2.14)`
  expect(versionsNeeded(info)).toEqual(['2.3.2', '2.14', '2.34'])
  expect(versionsNeeded('No version information found in this file.')).toEqual([])
})
