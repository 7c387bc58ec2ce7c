/** The commands of `atsss`: each in a file of its own, loaded when it is asked for. */

/** What a command's file exports. */
export interface Command {
  /** What `--help` prints: usage, options with their defaults, examples. */
  help: string
  /**
   * @param args what stands behind the command's name
   * @returns the exit status: 0 it did what was asked, 1 it could not, or found something wrong
   * @throws UsageError for a wrong command line (status 2); errors with a `code` are told in one line (status 1)
   */
  run(args: string[]): Promise<number>
}

/** By name; the order is the one of `atsss --help`. */
export const COMMANDS: Readonly<Record<string, { summary: string; load: () => Promise<Command> }>> = {
  doctor: {
    summary: 'what is missing on this machine, why it matters, how to fix it',
    load: () => import('./doctor.js'),
  },
  connect: { summary: 'netcat over MPTCP, converters and rules', load: () => import('./connect.js') },
  watch: { summary: 'a running session live, in the terminal or on a page', load: () => import('./watch.js') },
  explain: { summary: 'which rule a connection would be under, and why', load: () => import('./explain.js') },
  rules: { summary: 'check ATSSS rules, and print them as they are understood', load: () => import('./rules.js') },
  decode: {
    summary: 'take Convert, ATSSS, NAS and PCP messages and captures apart',
    load: () => import('./decode.js'),
  },
  bench: {
    summary: 'what your two accesses carry: alone, together, across a handover',
    load: () => import('./bench.js'),
  },
  lab: { summary: 'an emulated device with two accesses, to try things in', load: () => import('./lab.js') },
  converter: { summary: 'run a Transport Converter (RFC 8803)', load: () => import('./converter.js') },
  run: { summary: 'run a command whose Node processes go over MPTCP', load: () => import('./run.js') },
}
