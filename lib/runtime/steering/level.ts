/** What can be done about subflows here, and by which way: found by trying, once, when a loop begins. */
import type { AccessType } from '../../policy/rules/rule.js'
import { BOTH } from '../../policy/steering/accesses.js'
import { isSupported } from '../kernel/support.js'
import { pathManagerSetting } from '../kernel/sysctl.js'
import type { AccessConfig } from '../network/access-links.js'
import type { NetworkState } from '../network/network-state.js'
import {
  type KernelPathManager,
  type MptcpEndpoint,
  openPathManager,
  pathManagerType,
} from '../network/path-manager.js'
import { HELPER_SOCKET, openSteeringHelper, type SteeringHelper } from '../network/steering-helper.js'
import type { SubflowCommands } from '../network/subflow-commands.js'
import type { SteeringLevel } from './messages.js'

export interface OpenLevel {
  level: SteeringLevel
  /** At the level `userspace`. */
  subflows: SubflowCommands | undefined
  /** Where the kernel has a path manager. */
  kernel: KernelPathManager | undefined
  close(): void
}

/** Never rejects: what is missing is said in `level.why`. */
export async function openLevel(
  helper: string | false,
  network: NetworkState,
  accesses: Readonly<Record<AccessType, AccessConfig>>,
): Promise<OpenLevel> {
  const { supported, reason } = isSupported()
  if (!supported) {
    const level = { level: 'none', why: `No connection is MPTCP, so none is steered. ${reason}` } as const
    return { level, subflows: undefined, kernel: undefined, close: () => {} }
  }
  const type = pathManagerType()
  let pathManager: Awaited<ReturnType<typeof openPathManager>>
  try {
    pathManager = await openPathManager()
  } catch (error) {
    const why = `This kernel offers no MPTCP path manager: ${(error as Error).message}`
    return { level: { level: 'none', why }, subflows: undefined, kernel: undefined, close: () => {} }
  }
  const { kernel } = pathManager
  const close = () => pathManager.close()
  if (pathManager.mayAdminister) {
    const isUserspace = type === 'userspace'
    return { level: ownLevel(isUserspace), subflows: isUserspace ? pathManager : undefined, kernel, close }
  }
  if (type !== 'userspace') {
    const level = await sharedLevel(kernel, network, accesses)
    return { level, subflows: undefined, kernel, close }
  }
  const found = await findHelper(helper)
  if (typeof found === 'string') return { level: { level: 'none', why: found }, subflows: undefined, kernel, close }
  const level = { level: 'userspace', why: undefined, helper: found.path } as const
  const closeAll = () => {
    found.close()
    close()
  }
  return { level, subflows: found, kernel, close: closeAll }
}

function ownLevel(isUserspace: boolean): SteeringLevel {
  if (isUserspace) return { level: 'userspace', why: undefined }
  return {
    level: 'kernel',
    why: `Steering is limited: the kernel's path manager controls the subflows, for all connections alike. ${remedy()}`,
  }
}

function remedy(): string {
  const userspace = pathManagerSetting('userspace')
  return userspace
    ? `Run sysctl -w ${userspace.name}=${userspace.value}, then restart this program`
    : 'The other one needs Linux 5.19 or later'
}

/** @returns why there is none, if there is none for this program */
async function findHelper(path: string | false): Promise<SteeringHelper | string> {
  if (path === false) return `${NOT_STEERED}, and the steering helper is not wanted (option "helper")`
  try {
    return await openSteeringHelper(path)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    switch (code) {
      case 'ENOENT':
        return path === HELPER_SOCKET
          ? `${NOT_STEERED}, or the steering helper, which is not installed here: run atsss helper install as an administrator`
          : `${NOT_STEERED}, or the steering helper, and there is no socket ${path}`
      case 'EACCES':
        return `${NOT_STEERED}, or the steering helper, and this user may not use it: add the user to the group of ${path} (usermod -aG atsss NAME), and log in again`
      case 'ECONNREFUSED':
        return `${NOT_STEERED}, or the steering helper, which does not run: start it (systemctl start atsss-helper.socket)`
      default:
        return `${NOT_STEERED}, or the steering helper: ${message}`
    }
  }
}

const NOT_STEERED = 'Live connections are not steered: that needs CAP_NET_ADMIN'

async function sharedLevel(
  kernel: KernelPathManager,
  network: NetworkState,
  accesses: Readonly<Record<AccessType, AccessConfig>>,
): Promise<SteeringLevel> {
  const [endpoints, limits] = await Promise.all([
    kernel.endpoints().catch((): MptcpEndpoint[] => []),
    kernel.limits().catch(() => ({ subflows: 0, addAddrAccepted: 0 })),
  ])
  return levelByEndpoints(limits.subflows > 0 ? endpoints : [], network, accesses)
}

/** Pure. */
export function levelByEndpoints(
  endpoints: readonly MptcpEndpoint[],
  { links }: Pick<NetworkState, 'links'>,
  accesses: Readonly<Record<AccessType, AccessConfig>>,
): SteeringLevel {
  const userspace = pathManagerSetting('userspace')
  const full = userspace
    ? `For rules on live connections: atsss helper install, as an administrator (it sets ${userspace.name}=${userspace.value})`
    : 'Rules on live connections need Linux 5.19 or later'
  const has = (access: AccessType) => {
    const link = [...links.values()].find(({ name }) => name === accesses[access].interface)
    const isIts = ({ address, interfaceIndex, flags }: MptcpEndpoint) =>
      (flags.includes('subflow') || flags.includes('fullmesh')) &&
      (interfaceIndex === link?.index || link?.addresses.some(own => own.address === address))
    return link !== undefined && endpoints.some(isIts)
  }
  const shared = BOTH.filter(has)
  if (shared.length === 0) return { level: 'none', why: `${NOT_STEERED}. ${full}` }
  const other = BOTH.find(access => !shared.includes(access))
  const only = other ? `, but none for ${other} yet` : ''
  return {
    level: 'shared',
    why: `Steering is left to the kernel: it makes the subflows from endpoints that others have set up${only}, and moves data away from a lost access; rules choose the access on which a connection begins. ${full}`,
  }
}
