// What an exchange has of its upstream while its request and response are under way: an HTTP/1.1 connection
// (upstream-connection.ts) or a stream of an HTTP/2 one (upstream-stream.ts). Which it gets is the pool's.
import type { FieldLines } from '../http1/field-lines.ts';

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
