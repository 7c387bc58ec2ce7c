/** Findings about what may change subflows: the path manager, CAP_NET_ADMIN, the steering helper, endpoints of others. Pure. */
import type { Facts } from './facts.js'
import { type Finding, type Fix, sysctlFix } from './finding.js'

export function aboutPathManager(facts: Facts): Finding {
  const { pathManager, userspaceSetting } = facts
  const about = { id: 'path-manager', title: 'Path manager' }
  if (pathManager === 'userspace')
    return { ...about, state: 'good', found: pathManager, why: 'each connection can be steered on its own', fixes: [] }
  const onlyKernels = userspaceSetting === undefined ? ' (this kernel has no other)' : ''
  const found = pathManager === undefined ? 'unknown: the kernel does not say' : `${pathManager}${onlyKernels}`
  // For a program that may change nothing, the other one would be worse.
  if (isShared(facts)) return { ...about, state: 'good', found, why: SHARED, fixes: [] }
  const fixes: Fix[] =
    userspaceSetting === undefined
      ? [{ command: '', note: 'boot Linux 5.19 or later' }]
      : facts.mayAdminister === true || facts.helper?.isReady
        ? [sysctlFix(userspaceSetting.name, userspaceSetting.value)]
        : [INSTALL]
  return {
    ...about,
    state: 'warning',
    found,
    why: "under the kernel's path manager all connections of this machine share one set of flags, so different rules cannot all be enforced",
    fixes,
  }
}

export function aboutCapability(facts: Facts): Finding {
  const { mayAdminister, executable, helper } = facts
  const about = { id: 'capability', title: 'CAP_NET_ADMIN' }
  const good = (found: string, why: string): Finding => ({ ...about, state: 'good', found, why, fixes: [] })
  if (mayAdminister === true)
    return good('the kernel lets this process steer', 'subflows of live connections can be created, flagged and closed')
  const lacking = 'the kernel does not let this process change subflows'
  if (helper?.isReady) return good(`${lacking}; the steering helper does`, 'live connections are steered through it')
  if (isShared(facts)) return good(lacking, SHARED)
  return {
    ...about,
    state: 'warning',
    found: lacking,
    why: "only the access of a connection's first subflow can be chosen; a live connection does not move",
    fixes: [
      INSTALL,
      {
        command: `setcap cap_net_admin+ep ${executable}`,
        // `--fix` does not do this: a person decides who gets such a right.
        note: 'every script that this Node runs then has the capability: better use a copy of Node',
      },
      { command: 'AmbientCapabilities=CAP_NET_ADMIN', note: 'in the [Service] section of a systemd unit' },
      {
        command: 'podman run --cap-add=NET_ADMIN --network=host …',
        note: 'in a container; docker run takes the same options',
      },
    ],
  }
}

export function aboutHelper({ mayAdminister, helper, user }: Facts): Finding[] {
  if (helper === undefined) return []
  const { path, isReady, code, why } = helper
  const about = { id: 'helper', title: 'Steering helper' }
  const purpose = 'it steers live connections of programs without CAP_NET_ADMIN'
  if (isReady) return [{ ...about, state: 'good', found: `answers at ${path}`, why: purpose, fixes: [] }]
  const found = code === 'ENOENT' ? `not installed (no ${path})` : why
  // Root looks at it for the user who called sudo.
  if (mayAdminister === true && user === undefined)
    return [{ ...about, state: 'good', found, why: `${purpose}; this process has it`, fixes: [] }]
  return [{ ...about, state: 'warning', found, why: purpose, fixes: [...helperFixes(code)] }]
}

function helperFixes(code: string | undefined): readonly Fix[] {
  if (code === 'EACCES')
    return [{ command: 'usermod -aG atsss $USER', note: 'then log in again: its members may use it' }]
  if (code === 'ECONNREFUSED')
    return [
      {
        command: 'systemctl restart atsss-helper.socket',
        action: { do: 'run', argv: ['systemctl', 'restart', 'atsss-helper.socket'] },
      },
    ]
  return [INSTALL]
}

const INSTALL: Fix = {
  command: 'npx atsss helper install --yes',
  note: 'once; without --yes it prints what it would do',
  action: { do: 'install-helper' },
}

export function aboutEndpoints(facts: Facts): Finding[] {
  const { endpoints, networkManager, pathManager, limits } = facts
  if (limits === undefined) return [] // then the endpoints are unknown too
  const about = { id: 'endpoints', title: 'Other MPTCP endpoints' }
  if (endpoints.length === 0)
    return [
      {
        ...about,
        state: 'good',
        found: networkManager ? 'none, although NetworkManager is running' : 'none',
        why: 'under its own path manager the kernel would create unsteered subflows from endpoints',
        fixes: [],
      },
    ]
  const named = endpoints.map(
    ({ id, address, flags }) => `${address} (id ${id}${flags.length > 0 ? `, ${flags.join(' ')}` : ''})`,
  )
  const whose = networkManager ? "NetworkManager's, or the administrator's" : "the administrator's"
  const found = `${named.join(', ')}: ${whose}`
  const isBad = pathManager === 'kernel' && facts.mayAdminister === true
  return [
    {
      ...about,
      state: isBad ? 'warning' : 'good',
      found,
      why: isBad
        ? 'the kernel creates subflows from them that no rule steers'
        : isShared(facts)
          ? SHARED
          : pathManager === 'kernel'
            ? 'the kernel makes no subflows from them'
            : 'they have no effect under the userspace path manager',
      all: true,
      fixes: !isBad
        ? []
        : [
            ...endpoints.map(({ id }) => ({
              command: `ip mptcp endpoint delete id ${id}`,
              action: { do: 'delete-endpoint' as const, id },
            })),
            ...(networkManager
              ? [
                  {
                    command: 'nmcli connection modify NAME connection.mptcp-flags disabled',
                    note: 'for each connection, so that NetworkManager does not create them again',
                  },
                ]
              : []),
          ],
    },
  ]
}

/** Whether a session of this process has the level `shared`. */
function isShared({ pathManager, mayAdminister, limits, endpoints }: Facts): boolean {
  return (
    pathManager === 'kernel' &&
    mayAdminister !== true &&
    (limits?.subflows ?? 0) > 0 &&
    endpoints.some(({ flags }) => flags.includes('subflow') || flags.includes('fullmesh'))
  )
}

const SHARED =
  "the kernel makes further subflows from endpoints that others have set up, and moves data away from a lost access (level 'shared'); to have rules enforced on live connections: atsss helper install"
