/** The names of interfaces, for messages about one that is not there. */
import { interfacesNow } from './interfaces.js'

/** "those with an address are eth0, wlan0": of this network namespace, without loopback. */
export function interfacesInWords(): string {
  const names = Object.entries(interfacesNow()).flatMap(([name, addresses]) =>
    addresses?.some(({ internal }) => !internal) ? [name] : [],
  )
  return names.length === 0
    ? 'none here has an address, except loopback'
    : `those with an address are ${names.join(', ')}`
}
