/** What the doctor found about one subject, and how to fix it. */

export interface Finding {
  /** For scripts: it stays the same in later versions. */
  id: string
  title: string
  /** `bad`: something that the package exists for does not work. `warning`: it works less well. */
  state: 'good' | 'warning' | 'bad'
  found: string
  why: string
  /** One of them is enough, unless `all` is set. */
  fixes: readonly Fix[]
  /** Every fix is needed. */
  all?: true
}

export interface Fix {
  /** As typed in a shell. Empty where no single command does it: then `note` says what to do. */
  command: string
  /** When to choose this fix, or what to do by hand. */
  note?: string
  /** What `--fix --yes` does. Absent: a person has to do it. */
  action?: Action
}

export type Action =
  | { do: 'sysctl'; name: string; value: string }
  | { do: 'run'; argv: readonly string[] }
  | { do: 'limits'; subflows: number; addAddrAccepted: number }
  | { do: 'delete-endpoint'; id: number }
  | { do: 'install-helper' }

/** Sets a sysctl; the note says how to keep it after the next boot. */
export function sysctlFix(name: string, value: string): Fix {
  return {
    command: `sysctl -w ${name}=${value}`,
    note: `to keep it: echo '${name}=${value}' | sudo tee /etc/sysctl.d/90-atsss-${name.split('.').at(-1)}.conf`,
    action: { do: 'sysctl', name, value },
  }
}
