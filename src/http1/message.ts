// What a request and a response say, whatever protocol carried them: what routing, policies and forwarding read.
import type { BodyKind } from './body-framing.ts';
import type { FieldLines } from './field-lines.ts';

export interface Request {
  readonly fields: FieldLines;
  readonly method: string;
  /** As it came. */
  readonly target: string;
  /** Begins with `/`, still encoded; `/` for `*`. */
  readonly path: string;
  /** `` or with its `?`. */
  readonly query: string;
  readonly asterisk: boolean;
  readonly version: 10 | 11 | 20;
  /** The host and port asked for, as they came; `` when there was none. */
  readonly authority: string;
  /** Normal form, without port. */
  readonly host: string;
  /** `chunked`: of a length that is not known before its end. */
  readonly bodyKind: BodyKind;
  /** For `length`. */
  readonly contentLength: number;
  readonly expectContinue: boolean;
  /** The protocols of a request to change over; undefined when it is none or carries a body. */
  readonly upgrade: string | undefined;
  readonly acceptsTrailers: boolean;
  /** To some servers its credentials hold for all that follows on the connection. */
  readonly authenticatesConnection: boolean;
  /** Fields without a number that Connection takes along, in lower case. */
  readonly connectionNames: readonly string[] | undefined;
}

export interface Response {
  readonly fields: FieldLines;
  readonly version: 10 | 11 | 20;
  readonly status: number;
  /** Code and reason: `200 OK`; the code alone where no reason came. */
  readonly statusText: string;
  readonly bodyKind: BodyKind;
  /** For `length`; also what Content-Length says of a body that is not sent. -1: it says nothing. */
  readonly contentLength: number;
  readonly hasDate: boolean;
  /** The protocol of a 101. */
  readonly upgrade: string | undefined;
  readonly connectionNames: readonly string[] | undefined;
}
