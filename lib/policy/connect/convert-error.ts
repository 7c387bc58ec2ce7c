import { AtsssError, type ErrorCode } from '../../errors.js'
import type { ConvertErrorValue } from '../../wire/convert/error.js'

/** The converter's answer, or the lack of one, ended the attempt. */
export class ConvertError extends AtsssError {
  override readonly name = 'ConvertError'
  /** The converter as it was named in the options, with the address asked. */
  readonly converter: string
  /** What its Error TLV said (RFC 8803 §6.2.8), when there was one. */
  readonly detail: ConvertErrorValue | undefined
  /** Milliseconds until the converter may be asked again, when it said so. */
  readonly retryAfter: number | undefined

  constructor(
    code: ErrorCode,
    message: string,
    about: { converter: string; detail?: ConvertErrorValue; retryAfter?: number; cause?: unknown },
  ) {
    super(code, message, about.cause === undefined ? undefined : { cause: about.cause })
    this.converter = about.converter
    this.detail = about.detail
    this.retryAfter = about.retryAfter
  }
}
