/** What kind of network an interface leads to, by what sysfs says of it. */
import { existsSync, readFileSync, realpathSync } from 'node:fs'

/**
 * `usb`: Ethernet over USB, which a phone's tethering is; or a USB network adapter. `virtual`: made of nothing but software,
 * such as a bridge, a tunnel, or one end of a veth.
 */
export type InterfaceKind = 'wifi' | 'wwan' | 'usb' | 'ethernet' | 'virtual'

/** The access that an interface of this kind mostly is. */
export const LIKELY_ACCESS: Readonly<Record<InterfaceKind, '3gpp' | 'non-3gpp' | undefined>> = {
  wifi: 'non-3gpp',
  wwan: '3gpp',
  usb: '3gpp',
  ethernet: 'non-3gpp',
  virtual: undefined,
}

/** @param root where sysfs has network devices: for tests */
export function kindOf(name: string, root = '/sys/class/net'): InterfaceKind {
  const folder = `${root}/${name}`
  const type = /^DEVTYPE=(\w+)$/m.exec(read(`${folder}/uevent`))?.[1]
  if (type === 'wlan' || existsSync(`${folder}/wireless`) || existsSync(`${folder}/phy80211`)) return 'wifi'
  if (type === 'wwan') return 'wwan'
  if (!existsSync(`${folder}/device`)) return 'virtual'
  // The bus shows in the path of the device: /sys/devices/pci0000:00/…/usb1/1-2/1-2:1.0.
  return /\/usb\d+\//.test(`${real(`${folder}/device`)}/`) ? 'usb' : 'ethernet'
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function real(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}
