/** What becomes of destinations that the system reaches by a tunnel that is no access, in words. */

/** For `socket.mptcp.fallback`. */
export function respectedWhy(tunnel: string): string {
  return `Its route leaves by the tunnel ${tunnel}, which is no access: it is left to the system (vpn: 'respect')`
}

/** For the event `degraded`. */
export function bypassedWhy(tunnel: string): string {
  return `Connections go around the VPN: the system's routes lead by the tunnel ${tunnel}, and the session's connections are bound to its accesses. The option vpn: 'respect' leaves such destinations to the system; 'bypass' says that this is wanted`
}

/** @returns undefined: there is no tunnel */
export function vpnInWords(tunnels: readonly string[], vpn: 'respect' | 'bypass' | undefined): string | undefined {
  if (tunnels.length === 0) return undefined
  const what = `destinations whose route leaves by ${tunnels.join(' or ')}`
  if (vpn === 'respect') return `${what} are left to the system (vpn: 'respect')`
  return `connections to ${what} go around that tunnel${vpn === 'bypass' ? " (vpn: 'bypass')" : ": vpn: 'respect' would leave them to the system"}`
}
