// What an exchange has of its upstream while its request and response are under way, and what it is told: an HTTP/1.1 connection
// (upstream-connection.ts) or a stream of an HTTP/2 one (upstream-stream.ts). Which it gets is the pool's.
import type { FieldLines } from '../http1/field-lines.ts';
import type { Response } from '../http1/message.ts';
import type { Failure } from './upstream-failures.ts';

export interface UpstreamTransport {
  /** It has carried an earlier request: the upstream may have closed it unnoticed. */
  readonly reused: boolean;
  /** Has any byte of the response been seen? */
  readonly answered: boolean;
  /** The upstream has said that it did nothing with the request (RFC 9113 section 8.7). */
  readonly unprocessed: boolean;
  /**
   * Sends a request's head.
   *
   * @param head as `forwardRequest` writes it
   * @param whole no body follows
   */
  begin(method: string, head: string, whole: boolean, now: number): void;
  /** Body of a known length, or what a changed protocol sends. */
  sendData(bytes: Buffer, from: number, to: number): void;
  /** Body of a length that is not known before its end. */
  sendChunk(bytes: Buffer, from: number, to: number): void;
  /** Its end. */
  sendLastChunk(trailers: FieldLines | undefined): void;
  /** The request is whole. */
  endRequest(): void;
  /** False: wait for `onUpstreamDrain` before sending more. */
  flush(): boolean;
  /** Bytes that were sent may not have left yet. */
  readonly holdsBytes: boolean;
  /** As many. */
  readonly heldBytes: number;
  /** Ends our side; after a change of protocol the other one may go on. */
  halfClose(): void;
  /** The client cannot take more. */
  pause(): void;
  resume(): void;
  /** Begins the wait for the upstream's next bytes anew. */
  touch(): void;
  /** The exchange is over; the response was whole. */
  release(now: number): void;
  /** Gives it up. */
  close(): void;
}

/** Who is told what comes back. Any of these may close or release the connection. */
export interface UpstreamSink {
  onUpstreamReady(transport: UpstreamTransport): void;
  /** Of a 1xx other than 101. */
  onInterimResponse(head: Response): void;
  /** Of the final response, or of a 101, whose body is what the new protocol sends. */
  onResponseHead(head: Response): void;
  onResponseData(bytes: Buffer, from: number, to: number): void;
  onResponseEnd(trailers: FieldLines | undefined): void;
  /** All that one read brought has been told. */
  onResponsePause(): void;
  /** Bytes that were told may still be in use. */
  readonly holdsResponse: boolean;
  /** Bytes that are told now are used when `onResponsePause` returns. */
  readonly usesAtOnce: boolean;
  onUpstreamDrain(): void;
  /** The connection is gone. */
  onUpstreamFailed(failure: Failure): void;
  /** Has all of its request come, so that its client keeps no connection waiting? */
  readonly requestAtHand: boolean;
  /** Bytes a second that its client has sent or read while it was waited for; Infinity: it is not, or has not been for long. */
  clientRate(now: number): number;
  /** Ends for the sake of another one that waits for its connection. */
  giveWay(): void;
}

export interface UpstreamTimeouts {
  readonly connectTimeoutMs: number;
  readonly sendTimeoutMs: number;
  readonly readTimeoutMs: number;
}
