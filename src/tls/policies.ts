// What the name of a ClientHello demands of its connection, beside showing a certificate: versions, ciphers, and whose
// certificates a client is asked for. Whether a request may pass is judged later, by the name that it is for.
import { createHash } from 'node:crypto';
import type { Authority, PolicyCatalog } from '../catalog/contract.ts';
import { policyOrder } from '../model/host-name.ts';
import { outlineOf, parseCertificate, type Certificate } from '../x509/certificate.ts';
import { constraintsLength } from '../x509/verification-work.ts';
import type { TlsLog, TlsVersion } from './settings.ts';

export interface TlsPolicy {
  /** Connections under policies with the same key are the same to OpenSSL. */
  readonly key: string;
  /** undefined: as the configuration says. */
  readonly minVersion: TlsVersion | undefined;
  readonly ciphers: string | undefined;
  /** Clients are asked for a certificate that stands on one of them; none: they are not asked. */
  readonly authorities: readonly AskedAuthority[];
  /** Of the authority that has most to say about names. */
  readonly constraintsBytes: number;
}

export interface AskedAuthority {
  /** PEM. */
  readonly pem: string;
  readonly certificate: Certificate;
}

export interface TlsPolicies {
  /** @param serverName in normal form. undefined: nothing but what the configuration says */
  find(serverName: string | undefined): TlsPolicy | undefined;
}

/**
 * Authorities that one name may ask for. Their names are sent in every handshake, and 64 KiB of them are all that TLS has
 * room for (RFC 8446 section 4.2.4). A rule whose authorities are not asked for is answered with 421.
 */
const askedAuthoritiesMax = 100;
const askedNamesMaxBytes = 32 * 1024;

export function createTlsPolicies(catalog: PolicyCatalog, log: TlsLog): TlsPolicies {
  /** By key: many names have the same one. */
  let known = new Map<string, TlsPolicy>();
  let epoch = catalog.policyEpoch;

  return { find };

  function find(serverName: string | undefined): TlsPolicy | undefined {
    if (!catalog.hasPolicies) return undefined;
    if (catalog.policyEpoch !== epoch) {
      known = new Map();
      epoch = catalog.policyEpoch;
    }
    const host = catalog.findHostPolicy(policyOrder(serverName));
    const rules = catalog.clientCertificateRules(serverName ?? '');
    const ids = new Set([host?.clientCertificate, ...rules].flatMap((rule) => rule?.authorities ?? []));
    if (ids.size === 0 && host?.minVersion === undefined && host?.ciphers === undefined) return undefined;
    const authorities = [...ids].map((id) => catalog.findAuthority(id)).filter((each) => each !== undefined);
    const { minVersion, ciphers } = host ?? {};
    const key = keyOf(minVersion, ciphers, authorities);
    let policy = known.get(key);
    if (policy === undefined) {
      const fitting = asked(serverName, authorities);
      const constraintsBytes = Math.max(
        0,
        ...fitting.map(({ certificate }) => constraintsLength(certificate.x509.raw)),
      );
      policy = { key, minVersion, ciphers, authorities: fitting, constraintsBytes };
      known.set(key, policy);
    }
    return policy;
  }

  function asked(serverName: string | undefined, authorities: readonly Authority[]): readonly AskedAuthority[] {
    const parsed = authorities.flatMap((authority) => parseAuthority(authority) ?? []);
    let bytes = 0;
    const fitting = parsed.slice(0, askedAuthoritiesMax).filter(({ certificate }) => {
      bytes += outlineOf(certificate.x509.raw).subject?.whole.length ?? 0;
      return bytes <= askedNamesMaxBytes;
    });
    if (fitting.length < parsed.length) {
      log.error(
        { serverName, authorities: parsed.length, asked: fitting.length },
        'a name has too many authorities to ask clients for; requests that need the others are refused',
      );
    }
    return fitting;
  }
}

function keyOf(
  minVersion: TlsVersion | undefined,
  ciphers: string | undefined,
  authorities: readonly Authority[],
): string {
  const text = JSON.stringify([minVersion, ciphers, authorities.map(({ fingerprint }) => fingerprint)]);
  return createHash('sha256').update(text).digest('hex');
}

/** Undefined: the row is damaged, and nobody's certificate stands on it. */
export function parseAuthority({ certificate: pem, fingerprint }: Authority): AskedAuthority | undefined {
  const certificate = parseCertificate(derOf(pem));
  return certificate?.fingerprint === fingerprint ? { pem, certificate } : undefined;
}

/** Of PEM as the store keeps it: one block. */
export function derOf(pem: string): Buffer {
  return Buffer.from(pem.slice(pem.indexOf('\n'), pem.lastIndexOf('\n-----END')), 'base64');
}
