// A response's head as the client gets it: the upstream's fields less those that end here, and what Portunus says.
import { field, fieldSet } from '../http1/field-names.ts';
import type { Response } from '../http1/message.ts';
import { hopByHop } from './hop-by-hop.ts';

const endsHere: readonly number[] = [
  ...hopByHop,
  // A request's, of its connection; HTTP/2 has no such field.
  field.http2Settings,
  // `Transfer_Encoding` is Transfer-Encoding to whatever folds the two, in front of us too.
  field.lookalike,
  // Written anew.
  field.via,
  field.xPortunusRequestId,
  field.xPortunusUpstreamLatency,
  field.xPortunusProxyLatency,
];

/** Those that end here, by what else does. */
interface Ending {
  readonly withTrailers: Uint8Array;
  readonly withoutTrailers: Uint8Array;
  /** RFC 9110 section 8.6: no Content-Length in 1xx and 204. */
  readonly withoutLength: Uint8Array;
}

const upstreamsHsts = endings(endsHere);
/** Of an API that says itself what browsers are to do. */
const ownHsts = endings([...endsHere, field.strictTransportSecurity]);

function endings(ids: readonly number[]): Ending {
  return {
    withTrailers: fieldSet(ids),
    withoutTrailers: fieldSet([...ids, field.trailer]),
    withoutLength: fieldSet([...ids, field.trailer, field.contentLength]),
  };
}

/** How the body reaches the client; `frames` is HTTP/2's way. */
export type ResponseFraming = 'none' | 'length' | 'chunked' | 'until-close' | 'frames';

/** @param clientVersion an HTTP/1.0 client cannot read chunks: its body ends with the connection */
export function responseFraming(head: Response, clientVersion: 10 | 11): ResponseFraming {
  if (head.bodyKind === 'chunked' || head.bodyKind === 'until-close') {
    return clientVersion === 11 ? 'chunked' : 'until-close';
  }
  return head.bodyKind;
}

/** Status line and `forwardedFields`; the caller adds its own and the empty line. */
export function forwardResponse(head: Response, framing: ResponseFraming, endsHsts = false): string {
  return `HTTP/1.1 ${head.statusText}${head.statusText.length === 3 ? ' ' : ''}\r\n${forwardedFields(head, framing, endsHsts)}`;
}

/** The upstream's field lines. @param endsHsts its Strict-Transport-Security is not forwarded */
export function forwardedFields(head: Response, framing: ResponseFraming, endsHsts = false): string {
  const ending = endsHsts ? ownHsts : upstreamsHsts;
  const dropped =
    // node:http2 sends no body of a 205, which is to have none (RFC 9110 section 15.3.6).
    head.status < 200 || head.status === 204 || (head.status === 205 && framing === 'frames')
      ? ending.withoutLength
      : framing === 'chunked' || framing === 'frames'
        ? ending.withTrailers
        : ending.withoutTrailers;
  const via = head.fields.findAll(field.via);
  const protocol = head.version === 20 ? '2' : '1.1';
  return `${head.fields.serialize(dropped, head.connectionNames)}${
    framing === 'chunked' ? 'Transfer-Encoding: chunked\r\n' : ''
  }${via === undefined ? `Via: ${protocol} portunus\r\n` : `Via: ${via}, ${protocol} portunus\r\n`}`;
}
