// The fields that concern one connection and end with it, in both directions (RFC 9110 section 7.6.1). What else each
// direction drops, and why, is forward-request.ts's and forward-response.ts's.
import { field } from '../http1/field-names.ts';

export const hopByHop: readonly number[] = [
  field.connection,
  field.keepAlive,
  field.proxyConnection,
  field.te,
  field.transferEncoding,
  field.upgrade,
  // Between a proxy and its client, not the origin's.
  field.proxyAuthenticate,
  field.proxyAuthenticationInfo,
];
