/**
 * From Linux 6.18, x86-64, in a new network namespace with 10.9.0.1, 10.9.0.2, 2001:db8::1 and 2001:db8::2 on `lo`.
 */
import type { MptcpEvent, PmArguments, PmCommand } from '../../../lib/wire/netlink/mptcp-pm.js'
import { hex } from '../../support/hex.js'

/**
 * Payloads of requests. What names a command of iproute2 6.1 is what that sent (`strace -e write=all`); the rest was laid
 * by hand with Python's struct.pack, and the kernel acknowledged it: `name` is what `ss -tniM` showed then.
 */
// biome-ignore format: rows of a table
export const COMMANDS: { name: string; bytes: Uint8Array; value: [PmCommand, PmArguments] }[] = [
  {
    name: 'ip mptcp endpoint add 10.9.0.2 id 5 dev lo subflow backup',
    bytes: hex(`
      01010000 2c000180 05000200 05000000 08000600 06000000 08000700 01000000 06000100 02000000 08000300 0a090002`),
    value: ['add-addr', { local: { id: 5, flags: ['subflow', 'backup'], interfaceIndex: 1, address: '10.9.0.2' } }],
  },
  {
    name: 'ip mptcp endpoint add 2001:db8::2 id 6 port 7000 signal',
    bytes: hex(`
      01010000 38000180 05000200 06000000 08000600 01000000 06000500 581b0000 06000100 0a000000 14000400 20010db8
      00000000 00000000 00000002`),
    value: ['add-addr', { local: { id: 6, flags: ['signal'], port: 7000, address: '2001:db8::2' } }],
  },
  {
    name: 'ip mptcp endpoint delete id 5',
    bytes: hex(`
      02010000 0c000180 05000200 05000000`),
    value: ['del-addr', { local: { id: 5 } }],
  },
  {
    name: 'ip mptcp endpoint show',
    bytes: hex(`
      03010000`),
    value: ['get-addr', {}],
  },
  {
    name: 'ip mptcp limits set subflow 4 add_addr_accepted 3',
    bytes: hex(`
      05010000 08000200 03000000 08000300 04000000`),
    value: ['set-limits', { limits: { subflows: 4, addAddrAccepted: 3 } }],
  },
  {
    name: 'ip mptcp limits show',
    bytes: hex(`
      06010000`),
    value: ['get-limits', {}],
  },
  {
    name: 'made 10.9.0.2%lo:46421 10.9.0.1:6000, flags:Jjbec',
    bytes: hex(`
      0a010000 08000400 10b9d570 2c000180 05000200 02000000 08000600 06000000 08000700 01000000 06000100 02000000
      08000300 0a090002 1c000680 06000500 70170000 06000100 02000000 08000300 0a090001`),
    value: ['subflow-create', { token: 0x70d5b910,
      local: { id: 2, flags: ['subflow', 'backup'], interfaceIndex: 1, address: '10.9.0.2' },
      remote: { address: '10.9.0.1', port: 6000 } }],
  },
  {
    name: 'then flags:Jjec, and flags:Jec at the server',
    bytes: hex(`
      07010000 08000400 10b9d570 24000180 08000600 00000000 06000500 55b50000 06000100 02000000 08000300 0a090002
      1c000680 06000500 70170000 06000100 02000000 08000300 0a090001`),
    value: ['set-flags', { token: 0x70d5b910, local: { flags: [], port: 46421, address: '10.9.0.2' },
      remote: { address: '10.9.0.1', port: 6000 } }],
  },
  {
    name: 'then it was gone',
    bytes: hex(`
      0b010000 08000400 10b9d570 1c000180 06000500 55b50000 06000100 02000000 08000300 0a090002 1c000680 06000500
      70170000 06000100 02000000 08000300 0a090001`),
    value: ['subflow-destroy', { token: 0x70d5b910, local: { port: 46421, address: '10.9.0.2' },
      remote: { address: '10.9.0.1', port: 6000 } }],
  },
  {
    name: 'the server heard of it',
    bytes: hex(`
      08010000 08000400 10b9d570 2c000180 05000200 04000000 08000600 01000000 08000700 01000000 06000100 02000000
      08000300 0a090002`),
    value: ['announce', { token: 0x70d5b910,
      local: { id: 4, flags: ['signal'], interfaceIndex: 1, address: '10.9.0.2' } }],
  },
  {
    name: 'and of its end',
    bytes: hex(`
      09010000 08000400 10b9d570 05000500 04000000`),
    value: ['remove', { token: 0x70d5b910, localId: 4 }],
  },
  {
    name: 'made [2001:db8::2]%lo:36217 [2001:db8::1]:6000',
    bytes: hex(`
      0a010000 08000400 55727995 38000180 05000200 02000000 08000600 06000000 08000700 01000000 06000100 0a000000
      14000400 20010db8 00000000 00000000 00000002 28000680 06000500 70170000 06000100 0a000000 14000400 20010db8
      00000000 00000000 00000001`),
    value: ['subflow-create', { token: 0x95797255,
      local: { id: 2, flags: ['subflow', 'backup'], interfaceIndex: 1, address: '2001:db8::2' },
      remote: { address: '2001:db8::1', port: 6000 } }],
  },
  {
    name: 'then it was gone',
    bytes: hex(`
      0b010000 08000400 55727995 28000180 06000500 798d0000 06000100 0a000000 14000400 20010db8 00000000 00000000
      00000002 28000680 06000500 70170000 06000100 0a000000 14000400 20010db8 00000000 00000000 00000001`),
    value: ['subflow-destroy', { token: 0x95797255, local: { port: 36217, address: '2001:db8::2' },
      remote: { address: '2001:db8::1', port: 6000 } }],
  },
]

/**
 * Received by a member of the group mptcp_pm_events, under the userspace path manager, while a connection from 10.9.0.1
 * (then one from 2001:db8::1) to port 6000 of the same address was made, and the commands above were given.
 */
// biome-ignore format: rows of a table
export const EVENTS: { name: string; bytes: Uint8Array; value: MptcpEvent }[] = [
  {
    name: 'a listener on 10.9.0.1:6000',
    bytes: hex(`
      2c000000 1c000000 00000000 00000000 0f010000 06000200 02000000 06000900 17700000 08000500 0a090001`),
    value: { type: 'listener-created', local: { address: '10.9.0.1', family: 4, port: 6000 } },
  },
  {
    name: 'its end',
    bytes: hex(`
      2c000000 1c000000 00000000 00000000 10010000 06000200 02000000 06000900 17700000 08000500 0a090001`),
    value: { type: 'listener-closed', local: { address: '10.9.0.1', family: 4, port: 6000 } },
  },
  {
    name: 'connect() to it',
    bytes: hex(`
      54000000 1c000000 00000000 00000000 01010000 08000100 10b9d570 06000200 02000000 08000500 0a090001 08000700
      0a090001 06000900 c1ba0000 06000a00 17700000 05000300 00000000 05000400 00000000`),
    value: { type: 'created', token: 0x70d5b910, local: { address: '10.9.0.1', family: 4, port: 49594 },
      remote: { address: '10.9.0.1', family: 4, port: 6000 }, serverSide: false, denyJoinId0: false },
  },
  {
    name: 'the same at the server',
    bytes: hex(`
      64000000 1c000000 00000000 00000000 01010000 08000100 4391458c 05001200 01000000 06000d00 02000000 06000200
      02000000 08000500 0a090001 08000700 0a090001 06000900 17700000 06000a00 c1ba0000 05000300 00000000 05000400
      00000000`),
    value: { type: 'created', token: 0x8c459143, local: { address: '10.9.0.1', family: 4, port: 6000 },
      remote: { address: '10.9.0.1', family: 4, port: 49594 }, serverSide: true, denyJoinId0: false },
  },
  {
    name: 'established at the server, with the first data',
    bytes: hex(`
      64000000 1c000000 00000000 00000000 02010000 08000100 4391458c 05001200 01000000 06000d00 02000000 06000200
      02000000 08000500 0a090001 08000700 0a090001 06000900 17700000 06000a00 c1ba0000 05000300 00000000 05000400
      00000000`),
    value: { type: 'established', token: 0x8c459143, local: { address: '10.9.0.1', family: 4, port: 6000 },
      remote: { address: '10.9.0.1', family: 4, port: 49594 }, serverSide: true, denyJoinId0: false },
  },
  {
    name: 'established over IPv6',
    bytes: hex(`
      6c000000 1c000000 00000000 00000000 02010000 08000100 55727995 06000200 0a000000 14000600 20010db8 00000000
      00000000 00000001 14000800 20010db8 00000000 00000000 00000001 06000900 afd40000 06000a00 17700000 05000300
      00000000 05000400 00000000`),
    value: { type: 'established', token: 0x95797255, local: { address: '2001:db8::1', family: 6, port: 45012 },
      remote: { address: '2001:db8::1', family: 6, port: 6000 }, serverSide: false, denyJoinId0: false },
  },
  {
    name: 'a backup subflow made with subflow-create',
    bytes: hex(`
      64000000 1c000000 00000000 00000000 0a010000 08000100 10b9d570 06000200 02000000 08000500 0a090002 08000700
      0a090001 06000900 b5550000 06000a00 17700000 05000300 02000000 05000400 00000000 05000b00 00000000 08000f00
      01000000`),
    value: { type: 'subflow-established', token: 0x70d5b910, local: { address: '10.9.0.2', family: 4, port: 46421 },
      remote: { address: '10.9.0.1', family: 4, port: 6000 },
      localId: 2, remoteId: 0, backup: false, interfaceIndex: 1,
      error: undefined, resetReason: undefined, resetFlags: undefined },
  },
  {
    name: 'the same at the server',
    bytes: hex(`
      5c000000 1c000000 00000000 00000000 0a010000 08000100 4391458c 06000200 02000000 08000500 0a090001 08000700
      0a090002 06000900 17700000 06000a00 b5550000 05000300 00000000 05000400 02000000 05000b00 01000000`),
    value: { type: 'subflow-established', token: 0x8c459143, local: { address: '10.9.0.1', family: 4, port: 6000 },
      remote: { address: '10.9.0.2', family: 4, port: 46421 },
      localId: 0, remoteId: 2, backup: true, interfaceIndex: undefined,
      error: undefined, resetReason: undefined, resetFlags: undefined },
  },
  {
    name: 'over IPv6',
    bytes: hex(`
      7c000000 1c000000 00000000 00000000 0a010000 08000100 55727995 06000200 0a000000 14000600 20010db8 00000000
      00000000 00000002 14000800 20010db8 00000000 00000000 00000001 06000900 8d790000 06000a00 17700000 05000300
      02000000 05000400 00000000 05000b00 00000000 08000f00 01000000`),
    value: { type: 'subflow-established', token: 0x95797255,
      local: { address: '2001:db8::2', family: 6, port: 36217 },
      remote: { address: '2001:db8::1', family: 6, port: 6000 },
      localId: 2, remoteId: 0, backup: false, interfaceIndex: 1,
      error: undefined, resetReason: undefined, resetFlags: undefined },
  },
  {
    name: 'its flag taken back with set-flags, at the server',
    bytes: hex(`
      5c000000 1c000000 00000000 00000000 0d010000 08000100 4391458c 06000200 02000000 08000500 0a090001 08000700
      0a090002 06000900 17700000 06000a00 b5550000 05000300 00000000 05000400 02000000 05000b00 00000000`),
    value: { type: 'subflow-priority', token: 0x8c459143, local: { address: '10.9.0.1', family: 4, port: 6000 },
      remote: { address: '10.9.0.2', family: 4, port: 46421 },
      localId: 0, remoteId: 2, backup: false, interfaceIndex: undefined,
      error: undefined, resetReason: undefined, resetFlags: undefined },
  },
  {
    name: 'subflow-destroy',
    bytes: hex(`
      64000000 1c000000 00000000 00000000 0b010000 08000100 10b9d570 06000200 02000000 08000500 0a090002 08000700
      0a090001 06000900 b5550000 06000a00 17700000 05000300 02000000 05000400 00000000 05000b00 00000000 08000f00
      01000000`),
    value: { type: 'subflow-closed', token: 0x70d5b910, local: { address: '10.9.0.2', family: 4, port: 46421 },
      remote: { address: '10.9.0.1', family: 4, port: 6000 },
      localId: 2, remoteId: 0, backup: false, interfaceIndex: 1,
      error: undefined, resetReason: undefined, resetFlags: undefined },
  },
  {
    name: 'a subflow refused (ECONNREFUSED)',
    bytes: hex(`
      6c000000 1c000000 00000000 00000000 0b010000 08000100 10b9d570 06000200 02000000 08000500 0a090002 08000700
      0a090001 06000900 c1a50000 06000a00 17710000 05000300 02000000 05000400 00000000 05000b00 00000000 08000f00
      01000000 05000c00 6f000000`),
    value: { type: 'subflow-closed', token: 0x70d5b910, local: { address: '10.9.0.2', family: 4, port: 49573 },
      remote: { address: '10.9.0.1', family: 4, port: 6001 },
      localId: 2, remoteId: 0, backup: false, interfaceIndex: 1,
      error: 111, resetReason: undefined, resetFlags: undefined },
  },
  {
    name: 'announce, at the server: the port is the one of the connection',
    bytes: hex(`
      34000000 1c000000 00000000 00000000 06010000 08000100 4391458c 05000400 04000000 06000a00 c1ba0000 08000700
      0a090002`),
    value: { type: 'announced', token: 0x8c459143, remoteId: 4, address: '10.9.0.2', family: 4, port: 49594 },
  },
  {
    name: 'announce over IPv6',
    bytes: hex(`
      40000000 1c000000 00000000 00000000 06010000 08000100 c6e700ac 05000400 04000000 06000a00 afd40000 14000800
      20010db8 00000000 00000000 00000002`),
    value: { type: 'announced', token: 0xac00e7c6, remoteId: 4, address: '2001:db8::2', family: 6, port: 45012 },
  },
  {
    name: 'remove, at the server',
    bytes: hex(`
      24000000 1c000000 00000000 00000000 07010000 08000100 4391458c 05000400 04000000`),
    value: { type: 'removed', token: 0x8c459143, remoteId: 4 },
  },
  {
    name: 'close()',
    bytes: hex(`
      1c000000 1c000000 00000000 00000000 03010000 08000100 10b9d570`),
    value: { type: 'closed', token: 0x70d5b910 },
  },
]

/** The answer to get-addr; `ip mptcp endpoint show` printed the names. */
// biome-ignore format: rows of a table
export const ENDPOINTS = [
  {
    name: '10.9.0.2 id 5 subflow backup dev lo',
    bytes: hex(`
      48000000 1c000200 09000000 964e0000 03010000 34000180 06000100 02000000 06000500 00000000 05000200 05000000
      08000600 06000000 08000700 01000000 08000300 0a090002`),
    value: { id: 5, address: '10.9.0.2', flags: ['subflow', 'backup'], interfaceIndex: 1, port: 0 },
  },
  {
    name: '2001:db8::2 id 6 subflow fullmesh dev lo',
    bytes: hex(`
      54000000 1c000200 09000000 964e0000 03010000 40000180 06000100 0a000000 06000500 00000000 05000200 06000000
      08000600 0a000000 08000700 01000000 14000400 20010db8 00000000 00000000 00000002`),
    value: { id: 6, address: '2001:db8::2', flags: ['subflow', 'fullmesh'], interfaceIndex: 1, port: 0 },
  },
  {
    name: '10.9.0.1 port 7000 id 7 signal',
    bytes: hex(`
      40000000 1c000200 09000000 964e0000 03010000 2c000180 06000100 02000000 06000500 581b0000 05000200 07000000
      08000600 01000000 08000300 0a090001`),
    value: { id: 7, address: '10.9.0.1', flags: ['signal'], interfaceIndex: 0, port: 7000 },
  },
]

/** The answer to get-limits; `ip mptcp limits show` printed "add_addr_accepted 4 subflows 4". */
export const LIMITS = hex(`
  24000000 1c000000 09000000 964e0000 06010000 08000200 04000000 08000300 04000000`)
