/**
 * Puts this package in the place of net's clients, for Node's own tests: `node --import net-preload.mjs test-net-….js`.
 * `net.connect`, `net.createConnection`, `new net.Socket` and http's agents are ours then; tls' own connections are not
 * (the package's preload has them).
 */
import { syncBuiltinESMExports } from 'node:module'
import net from 'node:net'
import { connect, MptcpSocket } from '../../dist/index.js'

const Stock = net.Socket

/** tls calls it on objects of its own, and classes may derive from it: both get what they know. */
function Socket(options) {
  if (new.target === Socket || (new.target === undefined && !(this instanceof Stock))) return new MptcpSocket(options)
  return new.target ? Reflect.construct(Stock, [options], new.target) : Stock.call(this, options)
}
Socket.prototype = Stock.prototype
Object.setPrototypeOf(Socket, Stock)

Object.assign(net, { connect, createConnection: connect, Socket, Stream: Socket })
// http is not loaded yet, and some tests mind: it takes its agents' createConnection from net.
syncBuiltinESMExports()
