/** What kind of network an interface leads to, by what sysfs says of it. */
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { basename } from 'node:path'

/**
 * `usb`: a phone's tethering over USB. `ethernet`: also a USB adapter, as docks have, and the on-board port of some boards: what tells
 * them apart is the driver. `virtual`: made of nothing but software,
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
  const driver = basename(real(`${folder}/device/driver`))
  if (type === 'wwan' || MODEMS.has(driver)) return 'wwan'
  if (!existsSync(`${folder}/device`)) return 'virtual'
  // The bus shows in the path of the device: /sys/devices/pci0000:00/…/usb1/1-2/1-2:1.0.
  if (!/\/usb\d+\//.test(`${real(`${folder}/device`)}/`)) return 'ethernet'
  return driver === 'driver' || PHONES.has(driver) ? 'usb' : 'ethernet' // 'driver': none is bound that sysfs shows
}

/** Linux, drivers/net/usb: what phones offer for tethering. All others there are of adapters (r8152, ax88179_178a, smsc95xx, …). */
const PHONES = new Set(['rndis_host', 'ipheth', 'cdc_ether', 'cdc_ncm', 'cdc_eem', 'cdc_subset'])
const MODEMS = new Set(['qmi_wwan', 'cdc_mbim', 'huawei_cdc_ncm', 'sierra_net', 'hso', 'cdc-phonet'])

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
