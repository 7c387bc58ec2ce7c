import { AtsssError, type ErrorCode } from '../../errors.js'

/** A PCP server has refused a mapping, or does not answer. */
export class PcpError extends AtsssError {
  override readonly name = 'PcpError'
  /** Its address. */
  readonly server: string
  /** Its result code (RFC 6887 §7.4); `undefined` when there was none. */
  readonly result: number | undefined
  /** Milliseconds until it is asked again. */
  readonly retryAfter: number | undefined

  constructor(code: ErrorCode, message: string, about: { server: string; result?: number; retryAfter?: number }) {
    super(code, message)
    this.server = about.server
    this.result = about.result
    this.retryAfter = about.retryAfter
  }
}
