/** The interfaces of this network namespace. */
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os'

export type Interfaces = Readonly<NodeJS.Dict<NetworkInterfaceInfo[]>>

let latest: Interfaces = {}

/** Those that have an address. The system needs a descriptor for that: if none is left, they are those that were there last. */
export function interfacesNow(): Interfaces {
  try {
    latest = networkInterfaces()
  } catch {
    // A socket that is opened next fails with EMFILE, which says it better.
  }
  return latest
}
