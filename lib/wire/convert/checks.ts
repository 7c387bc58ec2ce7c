/** The checks of the Convert encoder: their errors have the code `ERR_CONVERT_ENCODE`. */
import { EncodeChecks } from '../bytes/encode-checks.js'

const checks = new EncodeChecks('ERR_CONVERT_ENCODE')
export const refusal: EncodeChecks['refusal'] = checks.refusal
export const checkInteger: EncodeChecks['integer'] = checks.integer
export const checkBytes: EncodeChecks['bytes'] = checks.bytes
export const checkArray: EncodeChecks['array'] = checks.array
