// One accepted downstream connection, plain or TLS, as the HTTP codecs get it. What happens on it is proxy's.
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { ClientProof } from './client-proof.ts';

/** What was negotiated with a client, and what it proved. */
export interface ConnectionSecurity {
  /** `TLSv1.3` */
  readonly version: string;
  /** The list that was negotiated with. */
  readonly ciphers: string;
  /** undefined: it was not asked for a certificate. */
  readonly proof: ClientProof | undefined;
}

export interface Connection {
  /** Bytes of the application: the TLSSocket after its handshake, or the plain socket. Paused, nothing read yet. */
  readonly socket: Socket | TLSSocket;
  readonly tls: boolean;
  /** undefined without TLS. */
  readonly security: ConnectionSecurity | undefined;
  /** The name of the ClientHello in normal form; also on resumed connections. */
  readonly serverName: string | undefined;
  readonly alpnProtocol: 'http/1.1' | 'h2';
  /** The peer: of the socket, or as the PROXY protocol told from a trusted address. No `::ffff:` prefix. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** The port clients connected to. */
  readonly localPort: number;
  /** The peer is one of `trusted_ips`: its forwarded headers are believed. */
  readonly trusted: boolean;
}
