/** What is wrong with a flag is a wrong command line (status 2), and is reported by the flag's name. */
import { expect, test } from 'vitest'
import { UsageError } from '../../lib/cli/arguments.js'
import { COMMANDS } from '../../lib/cli/commands.js'

const BOTH = ['--3gpp', 'a', '--non-3gpp', 'b']
const [TO, APP, URL] = [['192.0.2.1', '80'], ['--', 'true'], ['http://192.0.2.1/']]

test.each([
  [
    ['run', '--converter', '192.0.2.1', ...APP],
    "--converter must be 'host:port', '[IPv6]:port' or '_convert._tcp.domain'; it is '192.0.2.1'",
  ],
  [['run', '--rules', 'handovr', ...BOTH, ...APP], "--rules: 'handovr' — did you mean 'handover'?"],
  [['run', '--fallback', 'x', ...APP], "--fallback must be 'fail' or 'direct'; it is 'x'"],
  [
    ['run', '--exclude', '*', ...APP],
    "--exclude must be an address, a prefix such as '10.0.0.0/8', a name or '*.name'; it is '*'",
  ],
  [['run', '--3gpp', 'a b', '--non-3gpp', 'c', ...APP], "--3gpp must be the name of an interface; it is 'a b'"],
  [['connect', '--rules', 'handovr', ...BOTH, ...TO], "--rules: 'handovr' — did you mean 'handover'?"],
  [
    ['connect', '--converter', 'nix', ...TO],
    "--converter must be 'host:port', '[IPv6]:port' or '_convert._tcp.domain'; it is 'nix'",
  ],
  [['connect', '--mptcp', 'no', ...TO], "--mptcp must be 'prefer', 'require' or 'off'; it is 'no'"],
  [['connect', '--interface', 'a/b', ...TO], "--interface must be the name of an interface; it is 'a/b'"],
  [
    ['connect', '--3gpp', 'a', '--non-3gpp', 'a', ...TO],
    "--3gpp and --non-3gpp must name two interfaces: 'a' is named for both accesses",
  ],
  [['init', '--yes', '--rules', 'handovr'], "--rules: 'handovr' — did you mean 'handover'?"],
  [
    ['init', '--yes', '--3gpp', 'a', '--non-3gpp', 'a'],
    "--3gpp and --non-3gpp must name two interfaces: 'a' is named for both accesses",
  ],
  [['doctor', '--rules', 'handovr', ...BOTH], "--rules: 'handovr' — did you mean 'handover'?"],
  [
    ['report', '--output', '-', '--converter', 'nix'],
    "--converter must be 'host:port', '[IPv6]:port' or '_convert._tcp.domain'; it is 'nix'",
  ],
  [
    ['ping', '--converter', 'nix'],
    "--converter must be 'host:port', '[IPv6]:port' or '_convert._tcp.domain'; it is 'nix'",
  ],
  [
    ['bench', '--converter', 'nix', ...URL],
    "--converter must be 'host:port', '[IPv6]:port' or '_convert._tcp.domain'; it is 'nix'",
  ],
  [['lab', '--rules', 'handovr', ...APP], "--rules: 'handovr' — did you mean 'handover'?"],
  [['converter', '--workers', 'x'], "--workers must be 'auto' or an integer in 1…256; it is 'x'"],
  [['converter', '--workers', '0'], "--workers must be 'auto' or an integer in 1…256; it is 0"],
  [['converter', '--allow', 'nix'], "--allow must be prefixes such as 10.0.0.0/8 or fd00::/8; it is 'nix'"],
  [['converter', '--protocol', 'udp'], "--protocol must be 'mptcp' or 'tcp'; it is 'udp'"],
  [['converter', '--cookie-lifetime', '0'], '--cookie-lifetime must be an integer in 1…2147483647; it is 0'],
  [['converter', '--retry-delay', '256'], '--retry-delay must be an integer in 0…255; it is 256'],
  [['converter', '--pcp-quota', '70000'], '--pcp-quota must be an integer in 0…65535; it is 70000'],
  [['converter', '--pcp-ports', '9-1'], "--pcp-ports must be ranges of ports such as '20000-20255'; it is '9-1'"],
  [
    ['decode', 'zz'],
    "unrecognised format: 1 byte that begins with 'cf'; choose one with --as convert|nas|pcp|atsss; there is no file 'zz'",
  ],
] as const)('%j', async ([name, ...args], message) => {
  const { run } = await COMMANDS[name]!.load()
  const ended = run([...args])
  await expect(ended).rejects.toBeInstanceOf(UsageError)
  await expect(ended).rejects.toHaveProperty('message', message)
})
