// What a caller proved by a certificate in the TLS handshake of its connection.
import type { X509Certificate } from 'node:crypto';
import { TLSSocket } from 'node:tls';
import type { Socket } from 'node:net';

export type ClientCertificate =
  /** None was sent, or none was asked for. */
  | { readonly kind: 'none' }
  /** `reason`: OpenSSL's name for it, `CERT_HAS_EXPIRED`. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** `name`: its subject and the fingerprint that tells it from all others. */
  | { readonly kind: 'verified'; readonly name: string };

const subjectMaxLength = 200;

/** @param now milliseconds since the epoch; a connection may outlive the certificate it was opened with */
export function clientCertificateOf(socket: Socket, now: () => number): ClientCertificate {
  if (!(socket instanceof TLSSocket)) return { kind: 'none' };
  // Never getPeerCertificate: Node 24 crashes in it over keys on Brainpool curves, whoever signed them.
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return { kind: 'none' };
  if (!socket.authorized) return { kind: 'refused', reason: reasonOf(socket.authorizationError) };
  if (certificate.validToDate.getTime() <= now()) return { kind: 'refused', reason: 'CERT_HAS_EXPIRED' };
  return { kind: 'verified', name: nameOf(certificate) };
}

function nameOf({ subject, fingerprint256 }: X509Certificate): string {
  const parts = (subject ?? '').replaceAll('\n', ', ').replaceAll(/[^\x20-\x7e]/g, '?');
  return `${parts.slice(0, subjectMaxLength)} sha256:${fingerprint256.replaceAll(':', '').toLowerCase()}`;
}

/** Typed as an error, and a text in fact. */
function reasonOf(authorizationError: unknown): string {
  return authorizationError instanceof Error ? authorizationError.message : String(authorizationError);
}
