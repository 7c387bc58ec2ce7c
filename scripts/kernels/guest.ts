/**
 * Runs a guest with another kernel and this machine's files, in QEMU without hardware virtualisation, so that it runs anywhere.
 *
 * The guest's clock counts instructions (`-icount`), 1 ns each. By our clock the guest is slow; by its own clock it runs at a steady
 * speed, however busy this machine is. So its times can be compared, and timeouts need not be raised.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Kernel } from './debian-kernel.js'

/** Of one guest. */
export const GUEST_MEMORY_MIB = 3072

export interface GuestRun {
  /** The command's exit status; `timeout` or `no-boot` if there is none. */
  status: number | 'timeout' | 'no-boot'
  stdout: string
  stderr: string
  /** The kernel's own warnings and faults. */
  oopses: string
  /** Seconds, by this machine's clock. */
  seconds: number
}

export interface GuestOptions {
  /** The command's working folder. The command sees this machine's files and may write anywhere; its changes are discarded. */
  directory: string
  /** The folder for results: the output, the kernel's log, and what the command writes to /run/out. */
  out: string
  /** @defaultValue 1800 */
  limitSeconds?: number
}

/** Boots the kernel, runs the command, and waits for its end. The guest only has the networks that it creates. */
export async function runInGuest(kernel: Kernel, command: readonly string[], options: GuestOptions): Promise<GuestRun> {
  const { directory, out, limitSeconds = 1800 } = options
  rmSync(out, { recursive: true, force: true })
  mkdirSync(out, { recursive: true })
  const file = (name: string) => join(out, name)
  writeFileSync(file('command'), script(directory, command))

  const start = Date.now()
  const qemu = spawn('qemu-system-x86_64', qemuArguments(kernel, out), {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let complaints = ''
  qemu.stderr!.setEncoding('utf8').on('data', text => {
    complaints += text
  })
  const timedOut = await endedWithin(qemu, limitSeconds * 1000)

  const text = (name: string) => (existsSync(file(name)) ? readFileSync(file(name), 'utf8') : '')
  const status = text('status').trim()
  return {
    status: status !== '' ? Number(status) : timedOut ? 'timeout' : 'no-boot',
    stdout: text('stdout'),
    stderr: status !== '' ? text('stderr') : `${text('stderr')}${complaints}${text('console')}`,
    oopses: (text('dmesg').match(/^.*(?:cut here|BUG:|WARNING:|Oops).*$/gm) ?? []).join('\n'),
    seconds: Math.round((Date.now() - start) / 1000),
  }
}

function script(directory: string, command: readonly string[]): string {
  const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`
  return [
    'export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 USER=root NO_COLOR=1',
    // The Node that runs this script, wherever it is.
    `export PATH=${quoted(join(process.execPath, '..'))}:$PATH`,
    `cd ${quoted(directory)}`,
    command.map(quoted).join(' '),
    '',
  ].join('\n')
}

function qemuArguments(kernel: Kernel, out: string): string[] {
  const shared = (id: string, path: string, how: string) => [
    ...['-fsdev', `local,id=${id},path=${path},security_model=none,multidevs=remap${how}`],
    ...['-device', `virtio-9p-pci,fsdev=${id},mount_tag=${id}`],
  ]
  const append = [
    ...['console=ttyS0', 'quiet', 'loglevel=4', 'panic=-1', 'oops=panic', 'mitigations=off', 'nokaslr'],
    ...['tsc=reliable', 'no_timer_check', 'audit=0', 'selinux=0', 'apparmor=0', 'nowatchdog'],
  ]
  return [
    ...['-accel', 'tcg,thread=single,tb-size=1024', '-cpu', 'max,la57=off', '-icount', 'shift=0,sleep=on'],
    ...['-machine', 'pc,usb=off', '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-m', String(GUEST_MEMORY_MIB), '-smp', '1'],
    ...['-kernel', kernel.vmlinuz, '-initrd', kernel.initrd, '-append', append.join(' ')],
    ...['-serial', `file:${join(out, 'console')}`, '-device', 'virtio-rng-pci'],
    ...shared('host', '/', ',readonly=on'),
    ...shared('out', out, ''),
  ]
}

/** @returns whether it had to be killed */
async function endedWithin(child: ChildProcess, milliseconds: number): Promise<boolean> {
  let timedOut = false
  const timer = setTimeout(() => {
    timedOut = true
    child.kill('SIGKILL')
  }, milliseconds)
  await once(child, 'close')
  clearTimeout(timer)
  return timedOut
}
