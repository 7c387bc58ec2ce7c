import { AsyncLocalStorage } from 'node:async_hooks'
import { spawnSync } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import { callApplication, emitToApplication } from '../../lib/input/application.js'
import { compiledUrl } from '../support/compiled.js'
import { uncaughtIn } from '../support/uncaught.js'

const fails = (message: string) => () => {
  throw new Error(message)
}
const uncaught = (message: string) => ({ origin: 'uncaughtException', message })
const turn = () => new Promise(resolve => setImmediate(resolve))

describe('callApplication', () => {
  test('returns what the application returns', () => {
    expect(callApplication((a: number, b: number) => a + b, 2, 3)).toBe(5)
  })

  test('an exception is uncaught in the next tick, and the caller goes on', async () => {
    const order: string[] = []
    const seen = await uncaughtIn(async () => {
      process.once('uncaughtException', () => order.push('reported'))
      order.push(`returned ${callApplication(fails('one'))}`)
      process.nextTick(() => order.push('the next tick'))
      await turn()
    })
    expect(seen).toEqual([uncaught('one')])
    expect(order).toEqual(['returned undefined', 'reported', 'the next tick'])
  })

  test('what is thrown in a promise continuation of ours is not a rejection', async () => {
    expect(await uncaughtIn(() => Promise.resolve().then(() => callApplication(fails('two'))))).toEqual([
      uncaught('two'),
    ])
  })

  test('two exceptions of one turn are two reports, in order', async () => {
    const seen = await uncaughtIn(async () => {
      callApplication(fails('first'))
      callApplication(fails('second'))
    })
    expect(seen).toEqual([uncaught('first'), uncaught('second')])
  })

  test('what is no Error can be thrown, too', async () => {
    const seen = await uncaughtIn(async () => {
      callApplication(() => {
        throw undefined
      })
    })
    expect(seen).toEqual([uncaught('undefined')])
  })

  test('one call is within another', async () => {
    const seen = await uncaughtIn(async () => {
      expect(callApplication(() => [callApplication(fails('inner')), 'outer'])).toEqual([undefined, 'outer'])
    })
    expect(seen).toEqual([uncaught('inner')])
  })

  test('the handler of the exception is in the AsyncLocalStorage context of the call', async () => {
    const storage = new AsyncLocalStorage<string>()
    const contexts: unknown[] = []
    await uncaughtIn(async () => {
      process.once('uncaughtException', () => contexts.push(storage.getStore()))
      await storage.run('a request', async () => {
        await turn()
        callApplication(fails('three'))
        await turn()
      })
    })
    expect(contexts).toEqual(['a request'])
  })
})

describe('emitToApplication', () => {
  test('the arguments arrive; the listeners behind one that throws are not called, as with emit', async () => {
    const emitter = new EventEmitter()
    const heard: unknown[] = []
    emitter.on('event', (...args) => heard.push(args))
    emitter.on('event', fails('listener'))
    emitter.on('event', () => heard.push('behind'))
    expect(await uncaughtIn(async () => emitToApplication(emitter, 'event', 1, 'b'))).toEqual([uncaught('listener')])
    expect(heard).toEqual([[1, 'b']])
  })

  test('without listeners: an emit of the application is called all the same, and an error is uncaught', async () => {
    const emitter = new EventEmitter()
    expect(emitToApplication(emitter, 'event')).toBe(true)
    expect(await uncaughtIn(async () => emitToApplication(emitter, 'error', new Error('unheard')))).toEqual([
      uncaught('unheard'),
    ])
    const seen: unknown[] = []
    emitter.emit = (...args) => seen.push(args) > 0
    emitToApplication(emitter, 'event', 1)
    expect(seen).toEqual([['event', 1]])
  })
})

describe('without a handler', () => {
  const program = `
    import { callApplication } from ${JSON.stringify(compiledUrl('lib/input/application.ts'))}
    process.on('exit', code => console.log('exit', code))
    setTimeout(() => {
      callApplication(() => {
        null.ofTheApplication()
      })
    })
    setTimeout(() => console.log('not reached'), 500)`

  test('the process ends, with the application’s line of source and stack', () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
      encoding: 'utf8',
    })
    expect({ status, stdout }).toEqual({ status: 1, stdout: 'exit 1\n' })
    const [, line, mark] = stderr.split('\n')
    expect(line).toContain('null.ofTheApplication()')
    expect(mark?.trim()).toBe('^')
    expect(stderr).toMatch(/TypeError: .*ofTheApplication[^\n]*\n +at file:\/\/\/.*eval1/)
  })

  test('a worker ends with it', async () => {
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(program)}`), { stdout: true })
    const [error] = await once(worker, 'error')
    expect(error).toMatchObject({ name: 'TypeError', message: expect.stringContaining('ofTheApplication') })
  })
})

test('a domain gets what is thrown within it', () => {
  const program = `
    import domain from 'node:domain'
    import { EventEmitter } from 'node:events'
    import { emitToApplication } from ${JSON.stringify(compiledUrl('lib/input/application.ts'))}
    const its = domain.create()
    its.on('error', error => console.log('domain', error.message))
    const emitter = its.run(() => new EventEmitter().on('event', () => { throw new Error('of a listener') }))
    setTimeout(() => {
      emitToApplication(emitter, 'event')
      setTimeout(() => console.log('outside:', process.domain), 10)
    })`
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' })
  expect(stdout).toBe('domain of a listener\noutside: null\n')
})
