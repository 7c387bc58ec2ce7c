/** Which interface each access of a configuration uses at this moment, and whether it can be used. */
import type { AccessType } from '../policy/rules/rule.js'
import type { AccessConfigs } from '../runtime/network/access-choice.js'
import { AccessLinks, troubleOf } from '../runtime/network/access-links.js'
import { openLinkMonitor } from '../runtime/network/link-monitor.js'

/** Of several interfaces of an access, the one that a session would use now. */
export async function interfacesInUse(config: AccessConfigs): Promise<Record<AccessType, string>> {
  const monitor = await openLinkMonitor()
  monitor.close()
  const { interfaces } = new AccessLinks(config, monitor.state)
  const used = (access: AccessType) => interfaces[access]?.name ?? config[access].interface
  return { '3gpp': used('3gpp'), 'non-3gpp': used('non-3gpp') }
}

/** Why no connection can use this interface now; undefined: nothing that it shows itself. */
export async function troubleOfInterface(name: string): Promise<string | undefined> {
  const monitor = await openLinkMonitor()
  monitor.close()
  const link = [...monitor.state.links.values()].find(each => each.name === name)
  return link ? troubleOf(link) : `there is no interface ${name}`
}
