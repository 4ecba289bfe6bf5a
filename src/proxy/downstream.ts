// What an exchange asks of where its request came from: an HTTP/1.1 connection (client-connection.ts) or a stream of an HTTP/2
// one (client-stream.ts).
import type { FieldLines } from '../http1/field-lines.ts';
import type { Response } from '../http1/message.ts';
import type { Connection } from '../tls/connection.ts';
import type { OwnResponse } from './own-responses.ts';

export interface Downstream {
  readonly connection: Connection;
  /** `peerFields` of the connection. */
  readonly peerFields: string;
  /** The client may send its body (RFC 9110 section 10.1.1). */
  sendContinue(): void;
  sendInterim(head: Response): void;
  /**
   * A final response, or a 101 that changes the protocol.
   * @param added field lines
   * @param endsHsts the upstream's Strict-Transport-Security is not forwarded
   */
  sendHead(head: Response, added: string, endsHsts: boolean): void;
  sendData(bytes: Buffer, from: number, to: number): void;
  /** The response's body is whole. */
  sendEnd(trailers: FieldLines | undefined): void;
  /** A whole response of our own. */
  sendOwn(response: OwnResponse, requestId: string): number;
  /** False: wait for `onDownstreamDrain` before giving more. */
  flush(): boolean;
  /** Bytes that were sent may not have left yet. */
  readonly holdsBytes: boolean;
  /** Bytes that are sent now are used when the next `flush` returns. */
  readonly usesAtOnce: boolean;
  /** Bytes of the request's body that have come and that the exchange has not taken. */
  readonly bodyAtHand: number;
  /** The exchange can take request body again. */
  resumeBody(): void;
  /** The exchange is over; what was sent stands. @param now the present time */
  exchangeEnded(now: number): void;
  /** Ends the connection in a way that the client cannot take for the end of the response. */
  abort(): void;
}
