// Which of the given certificates is the server's own, and which of the given keys is its key.
import type { Certificate } from './certificate.ts';
import { chainMaxCertificates } from './chain.ts';
import type { MaterialField } from './describe-misfit.ts';
import { finding, quote, type Finding } from './findings.ts';

export interface LeafChoice {
  /** The certificate to judge further; there may be one although there are problems. */
  readonly leaf: Certificate | undefined;
  readonly problems: readonly Finding[];
}

/** The public keys whose private halves there are, and where from. */
export interface KeysAtHand {
  /** SHA-256, hex. None: no key could be read. */
  readonly hashes: readonly string[];
  readonly source: 'given' | 'stored';
  readonly field: MaterialField;
}

/**
 * The certificate whose public key is one of `hashes`; without any, the only one that is no CA. A CA certificate
 * counts when it signs itself and nothing else given (`openssl req -x509` makes such server certificates).
 */
export function chooseLeaf(certificates: readonly Certificate[], keys: KeysAtHand): LeafChoice {
  if (certificates.length === 0) return { leaf: undefined, problems: [] };
  const tooMany = chainTooLong(certificates);
  if (tooMany !== undefined) return { leaf: undefined, problems: [tooMany] };
  const ends = certificates.filter((one) => isEnd(one, certificates));
  const servers = ends.filter((one) => !one.isAuthority);
  const matching = ends.filter((one) => keys.hashes.includes(one.publicKey?.sha256 ?? ''));
  // A self-signed CA beside a server certificate is somebody's root.
  const candidates = servers.length > 0 ? servers : matching.length > 0 ? matching : ends;
  const [leaf] = candidates;
  if (leaf === undefined) return { leaf, problems: [noLeaf(certificates)] };
  if (candidates.length > 1) return { leaf: undefined, problems: [severalLeaves(candidates)] };
  if (keys.hashes.length === 0 || matching.includes(leaf)) return { leaf, problems: [] };
  return { leaf, problems: [mismatch(leaf, certificates, keys)] };
}

function chainTooLong(certificates: readonly Certificate[]): Finding | undefined {
  if (certificates.length <= chainMaxCertificates + 1) return undefined;
  const message = `There are ${certificates.length} certificates; at most ${chainMaxCertificates} are taken beside the server's own.`;
  return finding(
    'CERTIFICATE_CHAIN_TOO_LONG',
    'cert',
    message,
    'Send the server certificate and its intermediates only.',
  );
}

function isEnd(one: Certificate, all: readonly Certificate[]): boolean {
  const hasIssuedAnother = all.some((other) => other !== one && other.issuerKey === one.subjectKey);
  // Version 1 roots have no basicConstraints; that they issued something tells what they are.
  return !hasIssuedAnother && (!one.isAuthority || one.signsItself);
}

function noLeaf(certificates: readonly Certificate[]): Finding {
  const [first] = certificates;
  const what =
    certificates.length === 1 ? `is the CA certificate ${quote(first?.subject ?? '')}` : 'are all CA certificates';
  const message = `There is no server certificate: what was sent ${what}.`;
  return finding(
    'CERTIFICATE_NO_LEAF',
    'cert',
    message,
    'Send the certificate that was issued for your host, then its intermediates.',
  );
}

function severalLeaves(candidates: readonly Certificate[]): Finding {
  const names = candidates.slice(0, 4).map((one) => `${quote(one.subject)} (serial ${quote(one.serialNumber)})`);
  const more = candidates.length > 4 ? ` and ${candidates.length - 4} more` : '';
  const message = `There are ${candidates.length} server certificates: ${names.join(', ')}${more}.`;
  return finding(
    'CERTIFICATE_SEVERAL_LEAVES',
    'cert',
    message,
    'Send one server certificate at a time, with its own intermediates.',
  );
}

function mismatch(leaf: Certificate, certificates: readonly Certificate[], keys: KeysAtHand): Finding {
  const hash = keys.hashes[0] ?? '';
  const owner = certificates.find((one) => one !== leaf && keys.hashes.includes(one.publicKey?.sha256 ?? ''));
  const which = keys.source === 'stored' ? 'The stored key' : 'The private key';
  const whose = owner === undefined ? '' : ` but to ${quote(owner.subject)}`;
  const hashes = `public key SHA-256: key ${hash.slice(0, 16)}…, certificate ${leaf.publicKey?.sha256.slice(0, 16) ?? 'unknown '}…`;
  return finding(
    'CERTIFICATE_KEY_MISMATCH',
    keys.field,
    `${which} does not belong to the certificate ${quote(leaf.subject)}${whose} (${hashes}).`,
    keys.source === 'stored'
      ? 'This certificate was issued for another key: send that private key too, instead of the placeholder.'
      : 'Send the key that this certificate was requested with. Compare with: openssl x509 -pubkey -noout -in cert.pem and openssl pkey -pubout -in key.pem.',
  );
}
