/**
 * What is measured is what is shipped: the compiled dist/. (tsx would compile the sources in its own way, which costs
 * something for every closure.) The types come from the sources, so that checking them needs no build.
 */
import type * as Http from '../lib/agents/http.js'
import type * as Tls from '../lib/agents/tls.js'
import type * as Undici from '../lib/agents/undici.js'
import type * as Front from '../lib/index.js'
import type * as Preload from '../lib/preload/preload.js'
import type * as Native from '../lib/runtime/kernel/native.js'
import type * as Wire from '../lib/wire/convert/index.js'

const dist = (path: string) => import(new URL(`../dist/${path}`, import.meta.url).href)

export const { connect, isSupported, MaPduSession }: typeof Front = await dist('index.js')
export const { HttpAgent, HttpsAgent }: typeof Http = await dist('agents/http.js')
export const { connectTls }: typeof Tls = await dist('agents/tls.js')
export const { connector }: typeof Undici = await dist('agents/undici.js')
export const { preload }: typeof Preload = await dist('preload/preload.js')
export const { native }: typeof Native = await dist('runtime/kernel/native.js')
export const { encode, decode }: typeof Wire = await dist('wire/convert/index.js')

/** include/uapi/linux/in.h, mptcp.h */
export const IPPROTO_MPTCP = 262
export const SOL_MPTCP = 284
export const MPTCP_INFO = 1
