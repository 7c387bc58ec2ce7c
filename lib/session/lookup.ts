/** The session's `lookup`: the system's, and the accesses' own name servers when that fails or takes long. */
import dns from 'node:dns'
import type { LookupFunction } from 'node:net'
import type { FoundAddress } from '../runtime/network/access-names.js'

type Callback = Parameters<LookupFunction>[2]

/** @param over looks a name up over the accesses; undefined: it may not, and the system's answer is final */
export function sessionLookup(over: (host: string) => Promise<FoundAddress[]> | undefined): LookupFunction {
  return ((host: string, options: { all?: boolean; family?: number | string }, callback: Callback) => {
    let isAnswered = false
    let isAsking = false
    let failure: NodeJS.ErrnoException | undefined
    let timer: NodeJS.Timeout | undefined
    const answer: Callback = (error, found, family) => {
      if (isAnswered) return
      isAnswered = true
      clearTimeout(timer)
      callback(error, found, family)
    }
    const ask = () => {
      const asked = isAsking || isAnswered ? undefined : over(host)
      if (!asked) return isAsking || !failure ? undefined : answer(failure, '')
      isAsking = true
      // In a tick: the callback may call the application, which must not be in a promise of ours.
      void asked.then(found => process.nextTick(use, ofFamily(found, options.family)))
    }
    const use = (found: FoundAddress[]) => {
      const [first] = found
      isAsking = false
      if (first) return options.all ? answer(null, found) : answer(null, first.address, first.family)
      if (failure) answer(failure, '')
    }
    dns.lookup(
      host,
      options as dns.LookupAllOptions,
      ((error, found, family) => {
        if (!error) return answer(null, found as never, family)
        failure = error
        ask()
      }) as (error: NodeJS.ErrnoException | null, found: unknown, family?: number) => void,
    )
    // After the call, which throws what is wrong with its arguments.
    if (!isAnswered && !isAsking) timer = setTimeout(ask, LATE_MS).unref()
  }) as LookupFunction
}

/** When the system's look-up counts as late, in milliseconds: its resolver waits 5 s for a name server that does not answer. */
const LATE_MS = 1_500

function ofFamily(found: readonly FoundAddress[], family: number | string | undefined): FoundAddress[] {
  const wanted = { IPv4: 4, IPv6: 6 }[String(family)] ?? family
  return wanted === 4 || wanted === 6 ? found.filter(one => one.family === wanted) : [...found]
}
