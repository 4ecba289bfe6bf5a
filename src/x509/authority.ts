// The door for authorities, the CA certificates that clients' certificates may stand on, and for their lists of what they
// have revoked: bytes in, a checked authority or all its problems out. Pure: the time is handed in.
import type { Certificate } from './certificate.ts';
import { finding, quote, type Finding } from './findings.ts';
import { day, judgeStrength } from './judge-leaf.ts';
import { encodePem, scanPem } from './pem.ts';
import { parseRevocationList, revocationListMaxBytes, type RevocationList } from './revocation-list.ts';
import { readSources } from './sources.ts';

/** PEM is longer than DER by a third and some line ends. */
const crlInputMaxBytes = 2 * revocationListMaxBytes;
const crlLabel = 'X509 CRL';

export interface AuthorityInput {
  readonly certificate: string | Uint8Array;
  readonly crl: string | Uint8Array | undefined;
  /** The list that takes the place of this one, PEM. */
  readonly crlBefore?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly minRsaBits: number;
  /** Take what is out of date, with a warning. */
  readonly force: boolean;
}

export interface AuthorityFacts {
  /** PEM, one block, ended by a newline. */
  readonly certificate: string;
  readonly fingerprint: string;
  readonly subject: string;
  readonly notBefore: number;
  readonly notAfter: number;
  /** PEM. */
  readonly crl: string | undefined;
  /** Undefined: there is no list, or it does not say. */
  readonly crlNextUpdate: number | undefined;
}

export type AuthorityResult =
  | { readonly kind: 'accepted'; readonly authority: AuthorityFacts; readonly warnings: readonly Finding[] }
  | { readonly kind: 'refused'; readonly problems: readonly Finding[] };

/** Never throws for any input. */
export function intakeAuthority(input: AuthorityInput): AuthorityResult {
  const problems: Finding[] = [];
  const warnings: Finding[] = [];
  /** Out of date: `force` takes it. */
  const stale = (found: Finding): unknown => (input.force ? warnings : problems).push(found);

  const certificate = readAuthority(input, problems);
  if (certificate !== undefined) judgeAuthority(certificate, input, { problems, warnings, stale });
  const crl = input.crl === undefined ? undefined : readList(input.crl, problems);
  if (crl !== undefined && certificate !== undefined) judgeList(crl.list, certificate, input, { problems, stale });
  if (certificate === undefined || problems.length > 0) return { kind: 'refused', problems };
  const { pem, fingerprint, subject, notBefore, notAfter } = certificate;
  return {
    kind: 'accepted',
    authority: {
      certificate: pem,
      fingerprint,
      subject,
      notBefore,
      notAfter,
      crl: crl?.pem,
      crlNextUpdate: crl?.list.nextUpdate,
    },
    warnings,
  };
}

function readAuthority({ certificate }: AuthorityInput, problems: Finding[]): Certificate | undefined {
  const sources = readSources({ cert: certificate, key: undefined, withoutKey: true });
  problems.push(...sources.problems);
  const [first, ...more] = sources.certificates;
  if (more.length === 0) return first;
  const hint = 'Each authority is one entity: send a root and its intermediates one by one.';
  problems.push(finding('CERTIFICATE_NOT_AUTHORITY', 'cert', 'please submit only one certificate at a time', hint));
  return undefined;
}

interface Judging {
  readonly problems: Finding[];
  readonly stale: (found: Finding) => unknown;
}

function judgeAuthority(
  certificate: Certificate,
  { now, minRsaBits }: AuthorityInput,
  { problems, warnings, stale }: Judging & { readonly warnings: Finding[] },
): void {
  if (!certificate.isAuthority) {
    const message = 'certificate does not appear to be a CA because it is missing the "CA" basic constraint';
    const hint = 'Send the certificate of the CA that signs the clients’ certificates, not one of theirs.';
    problems.push(finding('CERTIFICATE_NOT_AUTHORITY', 'cert', message, hint));
  }
  if (certificate.notAfter < now) {
    const message = 'certificate expired, "Not After" time is in the past';
    stale(finding('CERTIFICATE_EXPIRED', 'cert', message, 'Send the one that the CA uses now.'));
  }
  if (certificate.notBefore > now) {
    const message = `The certificate ${quote(certificate.subject)} becomes valid on ${day(certificate.notBefore)}; until then nobody's stands on it.`;
    warnings.push(finding('CERTIFICATE_NOT_YET_VALID', 'cert', message));
  }
  const strength = judgeStrength(certificate.publicKey, "The authority's key", 'cert', minRsaBits);
  problems.push(...strength.problems);
}

function readList(
  input: string | Uint8Array,
  problems: Finding[],
): { readonly list: RevocationList; readonly pem: string } | undefined {
  const refuse = (message: string): undefined => {
    const hint = 'Send one whole list, as: openssl crl -in list.crl -inform DER -out list.pem makes it.';
    problems.push(finding('CRL_UNREADABLE', 'crl', message, hint));
    return undefined;
  };
  if (input.length > crlInputMaxBytes) return refuse(tooLarge);
  const der = derOf(input);
  if (der === undefined) return refuse(`This is not one revocation list: one block ${crlLabel} of PEM, or DER.`);
  const result = parseRevocationList(der);
  if (result.kind === 'list') return { list: result.list, pem: encodePem(crlLabel, der) };
  return refuse(problemTexts[result.problem]);
}

const tooLarge = `The revocation list is larger than ${revocationListMaxBytes} bytes.`;
const problemTexts = {
  'too-large': tooLarge,
  malformed: 'The revocation list cannot be read: it is damaged, or none.',
  partial: 'The revocation list covers only a part of what the authority has issued, or changes another list.',
} as const;

function derOf(input: string | Uint8Array): Uint8Array | undefined {
  if (typeof input !== 'string' && input[0] === 0x30) return input;
  const text = typeof input === 'string' ? input : Buffer.from(input).toString('latin1');
  const { blocks, truncated } = scanPem(text);
  const [first, ...more] = blocks;
  if (truncated || more.length > 0 || first?.kind !== 'content' || first.label !== crlLabel) return undefined;
  return first.bytes;
}

function judgeList(
  list: RevocationList,
  certificate: Certificate,
  { now, crlBefore }: AuthorityInput,
  { problems, stale }: Judging,
): void {
  const key = certificate.publicKey?.key;
  if (list.issuerKey !== certificate.subjectKey || key === undefined || !list.isSignedBy(key)) {
    const message = `The revocation list is not signed by ${quote(certificate.subject)}.`;
    problems.push(
      finding('CRL_NOT_SIGNED', 'crl', message, 'Send the list of this authority, signed with SHA-256 or better.'),
    );
    return;
  }
  if (list.nextUpdate !== undefined && list.nextUpdate < now) {
    const message = `The revocation list was to be replaced by ${day(list.nextUpdate)}: with it every certificate is refused.`;
    stale(finding('CRL_OUTDATED', 'crl', message, 'Send the current list.'));
  }
  if (list.thisUpdate > now) {
    const message = `The revocation list is of ${new Date(list.thisUpdate).toISOString()}, a time to come: until then every certificate is refused.`;
    stale(finding('CRL_NOT_YET_VALID', 'crl', message, 'Send it then, and see whose clock is wrong.'));
  }
  const before = crlBefore === undefined ? undefined : readList(crlBefore, [])?.list;
  if (before !== undefined && before.issuerKey === list.issuerKey && before.thisUpdate > list.thisUpdate) {
    const message = `The revocation list is older than the one that is stored, of ${day(before.thisUpdate)}.`;
    stale(finding('CRL_OUTDATED', 'crl', message, 'What was revoked since would be let in again.'));
  }
}
