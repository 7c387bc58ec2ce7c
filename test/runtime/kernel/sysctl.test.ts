import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { pathManagerSetting, sysctl, sysctlNumber, sysctlPath } from '../../../lib/runtime/kernel/sysctl.js'

test('a setting is read as text and as a number', () => {
  const text = readFileSync('/proc/sys/kernel/pid_max', 'utf8')
  expect(sysctl('kernel.pid_max')).toBe(text.trim())
  expect(sysctlNumber('kernel.pid_max')).toBe(Number(text))
})

test('a setting that this kernel does not have is undefined', () => {
  expect(sysctl('net.ipv4.no_such_setting')).toBeUndefined()
  expect(sysctlNumber('net.ipv4.no_such_setting')).toBeUndefined()
})

test('a setting that is not one integer has no number', () => {
  expect(sysctl('kernel.ostype')).toBe('Linux')
  expect(sysctlNumber('kernel.ostype')).toBeUndefined()
  expect(sysctlNumber('net.ipv4.ip_local_port_range')).toBeUndefined()
})

test.each([
  ['net.mptcp.enabled', '/proc/sys/net/mptcp/enabled'],
  ['net.ipv4.conf.eth0/7.rp_filter', '/proc/sys/net/ipv4/conf/eth0.7/rp_filter'],
])('%s is in %s', (name, path) => {
  expect(sysctlPath(name)).toBe(path)
})

test.each(['kernel', 'userspace'] as const)("the setting of the path manager '%s' is one of this kernel's", manager => {
  const setting = pathManagerSetting(manager)
  if (sysctl('net.mptcp.path_manager') !== undefined)
    expect(setting).toEqual({ name: 'net.mptcp.path_manager', value: manager })
  else if (sysctl('net.mptcp.pm_type') !== undefined)
    expect(setting).toEqual({ name: 'net.mptcp.pm_type', value: manager === 'kernel' ? '0' : '1' })
  else expect(setting).toBeUndefined()
})
