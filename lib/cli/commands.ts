/** The commands of `atsss`: each in its own file, loaded when needed. */

/** What a command's file exports. */
export interface Command {
  /** What `--help` prints: usage, options with their defaults, examples. */
  help: string
  /**
   * @param args the words after the command's name
   * @returns the exit status: 0 done, 1 failed or found something wrong
   * @throws UsageError for a wrong command line (status 2); errors with a `code` are printed in one line (status 1)
   */
  run(args: string[]): Promise<number>
}

interface Entry {
  summary: string
  /** It goes on when its output cannot be written any more. */
  isService?: true
  load: () => Promise<Command>
}

/** By name, in the order of `atsss --help`. */
export const COMMANDS: Readonly<Record<string, Entry>> = {
  doctor: {
    summary: 'what is missing on this machine, why it matters, how to fix it',
    load: () => import('./doctor.js'),
  },
  init: { summary: 'write atsss.json: looks at the interfaces, and asks', load: () => import('./init.js') },
  connect: { summary: 'netcat over MPTCP, converters and rules', load: () => import('./connect.js') },
  watch: { summary: 'a running session, live, in the terminal or on a page', load: () => import('./watch.js') },
  status: { summary: 'all sessions of this machine, a line for each', load: () => import('./status.js') },
  ping: { summary: 'round trip and loss over each access to the converters', load: () => import('./ping.js') },
  report: { summary: 'what a bug report needs, in one file and without secrets', load: () => import('./report.js') },
  explain: { summary: 'which rule applies to a connection, and why', load: () => import('./explain.js') },
  rules: { summary: 'check ATSSS rules and print them', load: () => import('./rules.js') },
  decode: {
    summary: 'decode Convert, ATSSS, NAS and PCP messages, and captures',
    load: () => import('./decode.js'),
  },
  bench: {
    summary: 'measure your two accesses: alone, together, across a handover',
    load: () => import('./bench.js'),
  },
  lab: {
    summary: 'an emulated device with two accesses, for experiments',
    isService: true,
    load: () => import('./lab.js'),
  },
  helper: {
    summary: 'steer connections of programs without privileges: run the service, or install it',
    isService: true,
    load: () => import('./steering-helper.js'),
  },
  converter: { summary: 'run a Transport Converter (RFC 8803)', isService: true, load: () => import('./converter.js') },
  run: { summary: 'run a command whose Node processes use MPTCP', isService: true, load: () => import('./run.js') },
}
