// What a client that was asked for a certificate has proved with its answer, read once when the handshake is done. Whether
// that is enough for a request is client-judge.ts's.
import type { TLSSocket } from 'node:tls';
import type { X509Certificate } from 'node:crypto';
import { outlineOf, parseCertificate, type Certificate } from '../x509/certificate.ts';
import { clientIntermediatesMax, findClientPaths } from '../x509/client-paths.ts';
import { distinguishedNameText } from '../x509/distinguished-name.ts';
import { serialKey } from '../x509/revocation-list.ts';
import type { AskedAuthority } from './policies.ts';

/** Why a certificate is not good enough. */
export type CertificateFault =
  | 'unknown-authority'
  | 'expired'
  | 'not-yet-valid'
  | 'revoked'
  | 'revocation-list-expired'
  | 'revocation-list-unusable'
  | 'too-deep'
  | 'wrong-purpose'
  | 'weak'
  | 'too-large'
  | 'invalid';

/** The client has the key of a certificate that stands on some of the authorities asked for. */
export interface ProvenClient {
  /** SHA-256 of its DER, hex. */
  readonly fingerprint: string;
  /** Field lines that tell an upstream who it is. */
  readonly fields: string;
  /** The shortest to each authority there is one to, by its fingerprint: the client first, the authority last. */
  readonly paths: ReadonlyMap<string, readonly PathLink[]>;
}

/** What is asked of a certificate on a path for as long as its connection is open. */
export interface PathLink {
  readonly subject: string;
  readonly notBefore: number;
  readonly notAfter: number;
  /** `serialKey`, as revocation lists are asked. */
  readonly serial: string;
  /** SHA-256 of its key. */
  readonly keySha256: string | undefined;
  readonly signsItself: boolean;
}

export type ClientProof = {
  /** Fingerprints of the authorities that it was asked for. */
  readonly asked: ReadonlySet<string>;
} & (
  | { readonly kind: 'none' }
  | { readonly kind: 'invalid'; readonly fault: CertificateFault }
  | { readonly kind: 'valid'; readonly client: ProvenClient }
);

/** DER. Its fields for an upstream take a third more. */
const certificateMaxBytes = 16 * 1024;

/** Never throws. */
export function readClientProof(socket: TLSSocket, authorities: readonly AskedAuthority[]): ClientProof {
  const asked = new Set(authorities.map(({ certificate }) => certificate.fingerprint));
  try {
    // Contexts that ask make no sessions. Should there be one, it holds no proof.
    if (socket.isSessionReused()) return { kind: 'none', asked: new Set() };
    // Not getPeerCertificate: it describes keys, and ends the process at some kinds of them.
    const sent = socket.getPeerX509Certificate();
    if (sent === undefined) return { kind: 'none', asked };
    const fault = faultOf(socket);
    if (fault !== undefined) return { kind: 'invalid', asked, fault };
    return { asked, ...prove(sent, authorities) };
  } catch {
    return { kind: 'invalid', asked, fault: 'invalid' };
  }
}

function prove(
  sent: X509Certificate,
  authorities: readonly AskedAuthority[],
): { kind: 'valid'; client: ProvenClient } | { kind: 'invalid'; fault: CertificateFault } {
  const above: X509Certificate[] = [];
  for (let next = sent.issuerCertificate; next !== undefined; next = next.issuerCertificate) {
    above.push(next);
    // The client's own may come twice.
    if (above.length > clientIntermediatesMax + 1) return { kind: 'invalid', fault: 'too-large' };
  }
  if (sent.raw.length > certificateMaxBytes) return { kind: 'invalid', fault: 'too-large' };
  const leaf = parseCertificate(sent.raw);
  if (leaf === undefined) return { kind: 'invalid', fault: 'invalid' };
  const found = findClientPaths(
    leaf,
    above.map(({ raw }) => parseCertificate(raw)).filter((each) => each !== undefined),
    authorities.map(({ certificate }) => certificate),
  );
  const paths = new Map([...found].map(([authority, certificates]) => [authority, certificates.map(toLink)]));
  return { kind: 'valid', client: { fingerprint: leaf.fingerprint, fields: fieldsOf(leaf), paths } };
}

function toLink(certificate: Certificate): PathLink {
  const { x509, subject, notBefore, notAfter, publicKey, signsItself } = certificate;
  const serial = serialKey(outlineOf(x509.raw).serial);
  return { subject, notBefore, notAfter, serial, keySha256: publicKey?.sha256, signsItself };
}

/** RFC 9440 for the last one; the others are what they are called elsewhere. */
function fieldsOf({ x509, fingerprint, serialNumber }: Certificate): string {
  const name = distinguishedNameText(outlineOf(x509.raw).subject);
  return `X-Client-Cert-DN: ${name}\r\nX-Client-Cert-Fingerprint: ${fingerprint}\r\nX-Client-Cert-Serial: ${serialNumber}\r\nClient-Cert: :${x509.raw.toString('base64')}:\r\n`;
}

interface Verifying {
  readonly _handle?: { readonly verifyError?: () => (Error & { readonly code?: string }) | null };
}

/** What OpenSSL found, all authorities that were asked for being trusted. As tls.Server asks it. */
function faultOf(socket: TLSSocket): CertificateFault | undefined {
  const { _handle: handle } = socket as unknown as Verifying;
  if (typeof handle?.verifyError !== 'function') return 'invalid';
  const error = handle.verifyError();
  return error === null || error === undefined ? undefined : (faults[error.code ?? ''] ?? 'invalid');
}

/** By OpenSSL's codes. */
const faults: Readonly<Record<string, CertificateFault>> = {
  CERT_HAS_EXPIRED: 'expired',
  CERT_NOT_YET_VALID: 'not-yet-valid',
  UNABLE_TO_GET_ISSUER_CERT: 'unknown-authority',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'unknown-authority',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'unknown-authority',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'unknown-authority',
  SELF_SIGNED_CERT_IN_CHAIN: 'unknown-authority',
  CERT_UNTRUSTED: 'unknown-authority',
  CERT_CHAIN_TOO_LONG: 'too-deep',
  PATH_LENGTH_EXCEEDED: 'too-deep',
  INVALID_PURPOSE: 'wrong-purpose',
  EE_KEY_TOO_SMALL: 'weak',
  CA_KEY_TOO_SMALL: 'weak',
  CA_MD_TOO_WEAK: 'weak',
};
