/**
 * Fetches Debian's kernels as files, the newest package of a version. It uses apt with a separate state, so that nothing is installed
 * and the machine's own package lists do not change.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Kernel {
  /** As `uname -r` prints it. */
  release: string
  vmlinuz: string
  initrd: string
}

/** The suites that have, or once had, a kernel with MPTCP. */
const SUITES = ['bookworm', 'bookworm-backports', 'trixie', 'trixie-backports', 'sid']
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'

/** The modules that the guest's first program, the lab and the tests need. Those that are built in, or absent, are skipped. */
const MODULES = [
  ...['virtio_pci', 'virtio_rng', '9pnet_virtio', '9p', 'overlay', 'veth', 'tun', 'dummy', 'af_packet'],
  ...['inet_diag', 'tcp_diag', 'mptcp_diag', 'unix_diag', 'sch_fq', 'sch_netem', 'sch_tbf', 'tcp_bbr'],
]

/**
 * Gets the kernel from the cache or from Debian.
 *
 * @param version the beginning of its version: `6.1`, `6.12`, `7.3`
 * @param cache the folder for downloads
 */
export function debianKernel(version: string, cache: string): Kernel {
  const folder = join(cache, version)
  const kernel = { vmlinuz: join(folder, 'vmlinuz'), initrd: join(folder, 'initrd') }
  const named = join(folder, 'release')
  if (existsSync(named)) return { release: readFileSync(named, 'utf8').trim(), ...kernel }

  mkdirSync(folder, { recursive: true })
  const release = newestRelease(version, cache)
  const root = unpack(release, cache)
  copyFileSync(find(root, '-type', 'f', '-name', 'vmlinuz*'), kernel.vmlinuz)
  makeInitrd(find(root, '-type', 'd', '-path', `*/modules/${release}/kernel`), kernel.initrd)
  writeFileSync(named, `${release}\n`)
  return { release, ...kernel }
}

function newestRelease(version: string, cache: string): string {
  const wanted = new RegExp(
    `^linux-image-(${version.replaceAll('.', '\\.')}[.+-](?!.*(?:rt|dbg|cloud|unsigned)).*amd64)$`,
  )
  const found = apt(cache, 'apt-cache', 'search', '--names-only', '^linux-image-[0-9]')
    .split('\n')
    .flatMap(line => wanted.exec(line.split(' ')[0]!)?.[1] ?? [])
  if (found.length === 0) throw new Error(`Debian has no kernel ${version} in ${SUITES.join(', ')}`)
  return run('sort', ['-V'], found.join('\n')).trim().split('\n').at(-1)!
}

/** The folder with the package's files. */
function unpack(release: string, cache: string): string {
  const root = join(cache, 'unpacked', release)
  if (existsSync(root)) return root
  const image = `linux-image-${release}`
  // From 7.1 on the image package is empty and depends on two others.
  const split = apt(cache, 'apt-cache', 'depends', image).includes(`linux-binary-${release}`)
  const packages = split ? [`linux-binary-${release}`, `linux-modules-${release}`] : [image]
  const debs = join(cache, 'debs')
  mkdirSync(debs, { recursive: true })
  rmSync(`${root}.part`, { recursive: true, force: true })
  mkdirSync(`${root}.part`, { recursive: true })
  for (const name of packages) {
    apt(cache, 'sh', '-c', 'cd "$1" && apt-get -q download "$2" >&2', 'sh', debs, name)
    const deb = readdirSync(debs).find(file => file.startsWith(`${name}_`))
    run('dpkg-deb', ['-x', join(debs, deb!), `${root}.part`])
    rmSync(join(debs, deb!))
  }
  renameSync(`${root}.part`, root)
  return root
}

/** Runs a command with an apt whose lists and cache are in `cache`, and whose mirrors are the machine's own. */
function apt(cache: string, command: string, ...args: string[]): string {
  const folder = join(cache, 'apt')
  const configuration = join(folder, 'apt.conf')
  if (!existsSync(configuration)) {
    for (const each of ['state/lists/partial', 'cache/archives/partial', 'sources'])
      mkdirSync(join(folder, each), { recursive: true })
    writeFileSync(join(folder, 'state/status'), '')
    writeFileSync(join(folder, 'sources/debian.sources'), sources())
    const lines = [
      ...[`Dir::State "${folder}/state"`, `Dir::State::Lists "${folder}/state/lists"`],
      ...[`Dir::State::status "${folder}/state/status"`, `Dir::Cache "${folder}/cache"`],
      ...[`Dir::Etc::sourcelist "/dev/null"`, `Dir::Etc::sourceparts "${folder}/sources"`],
      ...[`Dir::Etc::Preferences "/dev/null"`, `Dir::Etc::PreferencesParts "/dev/null"`],
      ...['APT::Sandbox::User "root"', 'APT::Architecture "amd64"'],
    ]
    writeFileSync(configuration, lines.map(line => `${line};\n`).join(''))
    run('apt-get', ['-q', 'update'], '', { APT_CONFIG: configuration })
  }
  return run(command, args, '', { APT_CONFIG: configuration })
}

/** The mirrors of the machine's own sources, with the suites of {@link SUITES}. */
function sources(): string {
  const directory = '/etc/apt/sources.list.d'
  const texts = readdirSync(directory)
    .filter(name => name.endsWith('.sources'))
    .map(name => readFileSync(join(directory, name), 'utf8'))
  const mirrors =
    texts
      .join('\n')
      .match(/^URIs:\s*(\S+)/gm)
      ?.map(line => line.replace(/^URIs:\s*/, '')) ?? []
  const archive = mirrors.find(mirror => !mirror.includes('security'))
  if (archive === undefined)
    throw new Error(
      `${directory} has no mirror of Debian's archive, where kernels come from: add one as deb822 sources`,
    )
  const security = mirrors.find(mirror => mirror.includes('security')) ?? `${archive}-security`
  const stanza = (uri: string, suites: string[]) =>
    `Types: deb\nURIs: ${uri}\nSuites: ${suites.join(' ')}\nComponents: main\nSigned-By: ${KEYRING}\n\n`
  const stable = SUITES.filter(suite => !suite.endsWith('-backports') && suite !== 'sid')
  return (
    stanza(archive, SUITES) +
    stanza(
      security,
      stable.map(suite => `${suite}-security`),
    )
  )
}

/** Busybox, the guest's first program, and the modules in the order of their dependencies. */
function makeInitrd(kernelFolder: string, initrd: string): void {
  const work = `${initrd}.work`
  rmSync(work, { recursive: true, force: true })
  for (const each of ['bin', 'modules', 'dev', 'proc', 'sys', 'host', 'rw', 'root'])
    mkdirSync(join(work, each), { recursive: true })
  copyFileSync(run('sh', ['-c', 'command -v busybox']).trim(), join(work, 'bin/busybox'))
  copyFileSync(fileURLToPath(new URL('./init.sh', import.meta.url)), join(work, 'init'))
  run('chmod', ['+x', join(work, 'init'), join(work, 'bin/busybox')])

  const files = new Map<string, string>()
  for (const file of run('find', [kernelFolder, '-name', '*.ko*']).trim().split('\n'))
    files.set(
      basename(file)
        .replace(/\.ko.*$/, '')
        .replaceAll('-', '_'),
      file,
    )
  const order: string[] = []
  const seen = new Set<string>()
  const add = (name: string) => {
    const file = files.get(name)
    if (seen.has(name) || file === undefined) return
    seen.add(name)
    const module = join(work, 'modules', `${name}.ko`)
    unpackModule(file, module)
    for (const needed of dependencies(readFileSync(module))) add(needed)
    order.push(name)
  }
  for (const name of MODULES) add(name)
  writeFileSync(join(work, 'modules/order'), `${order.join('\n')}\n`)
  run('sh', ['-c', 'cd "$1" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1 >"$2"', 'sh', work, initrd])
  rmSync(work, { recursive: true, force: true })
}

function unpackModule(file: string, into: string): void {
  const unpackers: Record<string, string> = { '.xz': 'xz -dc', '.zst': 'zstd -dcq', '.gz': 'gzip -dc', '.ko': 'cat' }
  const unpacker = Object.entries(unpackers).find(([ending]) => file.endsWith(ending))![1]
  run('sh', ['-c', `${unpacker} "$1" >"$2"`, 'sh', file, into])
}

/** The dependencies that a module lists: `depends=a,b` in its .modinfo section. */
function dependencies(module: Buffer): string[] {
  const at = module.indexOf('\0depends=')
  if (at < 0) return []
  const text = module.subarray(at + '\0depends='.length, module.indexOf(0, at + 1)).toString('latin1')
  return text
    .split(',')
    .filter(Boolean)
    .map(name => name.replaceAll('-', '_'))
}

function find(folder: string, ...expression: string[]): string {
  const [first] = run('find', [folder, ...expression])
    .trim()
    .split('\n')
  if (!first) throw new Error(`${folder} has no file that matches ${expression.join(' ')}`)
  return first
}

function run(command: string, args: readonly string[], input = '', env: NodeJS.ProcessEnv = {}): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    ...{ input, encoding: 'utf8', maxBuffer: 1 << 28, env: { ...process.env, ...env } },
  })
  if (error) throw error
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}: ${stderr}`)
  return stdout
}

/** Whether a program is on the PATH. */
export function hasProgram(name: string): boolean {
  try {
    execFileSync('sh', ['-c', 'command -v "$0"', name], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
