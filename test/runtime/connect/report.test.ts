import { expect, test } from 'vitest'
import { converterOf, type MptcpReport, shared } from '../../../lib/runtime/connect/report.js'

const through = (address: string): Partial<MptcpReport> => ({
  protocol: 'mptcp',
  attempts: 1,
  ...converterOf({
    name: 'converter.example:5124',
    endpoint: { address, port: 5124, family: 4 },
    form: '0rtt',
    adaptive: true,
    pipelining: true,
    cookie: undefined,
    info: false,
    tcpOptions: [],
  }),
})

test('sockets that were connected in the same way keep one report', () => {
  const first = shared({ protocol: 'mptcp', attempts: 1 })
  expect(shared({ protocol: 'mptcp', attempts: 1 })).toBe(first)
  const converted = shared(through('192.0.2.1'))
  expect(shared(through('192.0.2.1'))).toBe(converted)
})

test.each<[string, Partial<MptcpReport>]>([
  ['another protocol', { protocol: 'tcp', attempts: 1 }],
  ['one field more', { protocol: 'mptcp', attempts: 1, interface: 'wlan0' }],
  ['one field less', { protocol: 'mptcp' }],
  ['another field', { protocol: 'mptcp', bypass: true }],
  ['an answer', { protocol: 'mptcp', attempts: 1, answer: [] }],
])('%s: a report of its own', (_, other) => {
  shared({ protocol: 'mptcp', attempts: 1 })
  expect(shared(other)).toBe(other)
})

test('another address of the same converter: a report of its own', () => {
  shared(through('192.0.2.1'))
  expect(shared(through('192.0.2.2')).converter?.address).toBe('192.0.2.2')
})
