// A response's head as the client gets it: the upstream's fields less those that end here, and what Portunus says.
import { field, fieldSet } from '../http1/field-names.ts';
import type { ResponseHead } from '../http1/response-head.ts';
import { hopByHop } from './hop-by-hop.ts';

const endsHere: readonly number[] = [
  ...hopByHop,
  // Written anew.
  field.via,
  field.xPortunusRequestId,
  field.xPortunusUpstreamLatency,
  field.xPortunusProxyLatency,
];

const chunked = fieldSet(endsHere);
const notChunked = fieldSet([...endsHere, field.trailer]);
/** RFC 9110 section 8.6: no Content-Length in 1xx and 204. */
const withoutLength = fieldSet([...endsHere, field.trailer, field.contentLength]);

/** How the body reaches the client. */
export type ResponseFraming = 'none' | 'length' | 'chunked' | 'until-close';

/** @param clientVersion an HTTP/1.0 client cannot read chunks: its body ends with the connection */
export function responseFraming(head: ResponseHead, clientVersion: 10 | 11): ResponseFraming {
  if (head.bodyKind === 'chunked' || head.bodyKind === 'until-close') {
    return clientVersion === 11 ? 'chunked' : 'until-close';
  }
  return head.bodyKind;
}

/** Status line and the upstream's fields; the caller adds its own and the empty line. */
export function forwardResponse(head: ResponseHead, framing: ResponseFraming): string {
  const dropped =
    head.status < 200 || head.status === 204 ? withoutLength : framing === 'chunked' ? chunked : notChunked;
  const via = head.fields.findAll(field.via);
  return `HTTP/1.1 ${head.statusText}${head.statusText.length === 3 ? ' ' : ''}\r\n${head.fields.serialize(dropped, head.connectionNames)}${
    framing === 'chunked' ? 'Transfer-Encoding: chunked\r\n' : ''
  }${via === undefined ? 'Via: 1.1 portunus\r\n' : `Via: ${via}, 1.1 portunus\r\n`}`;
}
