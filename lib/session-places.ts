/** What a session knows of its connections. */
import type { AccessType, Rule } from './policy/rules.js'
import type { Destination } from './runtime/steerer.js'
import type { MptcpSocket } from './socket.js'

/** One that is steered. */
export interface Live {
  socket: MptcpSocket
  destination: Destination
  rule: Rule | undefined
}

/** Where one began. */
export interface Place {
  destination: Destination
  /** Of its first subflow. */
  access: AccessType | undefined
  /** Without one it is TCP. */
  token: number | undefined
}
