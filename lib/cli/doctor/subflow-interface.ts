/**
 * Whether further subflows leave by the interface of their access. Linux 5.19 to 6.8 ignores it under the userspace path manager
 * (docs/linux.md, "Path managers"): a session announces the address first, and where that is refused, only routing rules help.
 */
import { type Accesses, isNamed } from './accesses.js'
import type { Facts, Interface } from './facts.js'
import type { Finding, Fix } from './finding.js'
import type { Leaving } from './subflow-trial.js'

/** Pure. Nothing where this process may make no subflows: the finding about CAP_NET_ADMIN says so. */
export function aboutSubflowInterface(
  { pathManager, userspaceSetting, mayAdminister, subflowInterface, interfaces }: Facts,
  accesses: Accesses,
): Finding[] {
  if (mayAdminister !== true) return []
  const about = { id: 'subflow-interface', title: 'Interface of further subflows' }
  const good = (found: string, why: string): Finding[] => [{ ...about, state: 'good', found, why, fixes: [] }]
  if (pathManager === 'kernel')
    return good(
      "the kernel's path manager takes it from the endpoint",
      userspaceSetting ? BOTH_MANAGERS : EACH_BY_ITS_OWN,
    )
  switch (subflowInterface?.is) {
    case undefined:
      return []
    case 'kept':
      return good('this kernel binds a subflow to the interface of its access', EACH_BY_ITS_OWN)
    case 'kept-if-announced':
      return good(
        'this kernel binds a subflow to the interface of its access if its address is announced first',
        ANNOUNCED,
      )
    case 'unknown':
      return good(
        `could not be tried: ${subflowInterface.why}`,
        "a session looks at each subflow; its event 'degraded' reports one that leaves by another interface",
      )
    case 'ignored': {
      const found = `this kernel ignores it, and refuses to announce addresses (${subflowInterface.refusal})`
      const astray = interfaces.filter(each => mayCarry(each, accesses)).flatMap(strays)
      if (astray.length === 0) return good(`${found}; the routes lead each address to its own interface`, ROUTED)
      const where = astray.map(({ name, address, by }) => `${address} of ${name} leaves by ${by ?? 'no interface'}`)
      return [
        {
          ...about,
          state: 'warning',
          found: `${found}; ${where.join(', ')}`,
          why: 'there is no handover to an access whose subflows leave by another one, and a standby may carry data',
          all: true,
          fixes: astray.flatMap(({ rules }) => rules.map(routing)),
        },
      ]
    }
  }
}

function routing(command: string): Fix {
  return {
    command,
    note: 'until the next boot; again when the address has changed',
    action: { do: 'run', argv: command.split(' ') },
  }
}

const EACH_BY_ITS_OWN = 'each access has its own subflow, whatever the routes prefer'
/** The kernel drops the backup flag together with the interface; the session then changes it by another command. */
const ROUTED = 'each access has its own subflow; a new standby may carry data until its flag has been changed (MP_PRIO)'
const ANNOUNCED =
  'a session does that (ADD_ADDR): handover and standby work. Peers do not connect to these addresses unless they are configured to'
const BOTH_MANAGERS =
  'subflows leave by their own interface. They do so under the userspace path manager, too: where the kernel ignores the interface (Linux 5.19 to 6.8), a session announces the address first'

/** Whether sessions may use it: it is named as an access, or it leads out of its link. */
function mayCarry(of: Interface, accesses: Accesses): boolean {
  const { up, carrier, routes } = of
  if (accesses !== undefined) return Object.values(accesses).some(wanted => isNamed(of, wanted))
  return up && carrier && routes.length > 0
}

function strays({ name, leaving }: Interface): (Leaving & { name: string })[] {
  return leaving.filter(({ by }) => by !== name).map(each => ({ ...each, name }))
}
