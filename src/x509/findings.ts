// What intake has to say about a certificate and its key: the shape of a finding and the codes of warnings and repairs.
// The codes of problems are in lib/errors.ts.
import type { ErrorCode } from '../lib/errors.ts';

export type FindingField = 'cert' | 'key' | 'passphrase' | 'crl' | 'ca_certificates';

/** Why an input is refused. */
export type ProblemCode = Extract<ErrorCode, `CERTIFICATE_${string}` | `KEY_${string}` | `CRL_${string}`>;

export interface Finding {
  readonly code: ProblemCode | NoticeCode;
  /** The input it is about. */
  readonly field: FindingField;
  /** What is wrong, and where. Never key material. */
  readonly message: string;
  /** What to do, in plain words. */
  readonly hint?: string;
}

export interface NoticeFacts {
  /** A warning leaves the input as it is; a repair says what was changed. */
  readonly kind: 'warning' | 'repair';
  /** One sentence, as in docs/errors.md. */
  readonly summary: string;
}

const table = {
  CERTIFICATE_NOT_YET_VALID: warning('The certificate becomes valid later.'),
  CERTIFICATE_SELF_SIGNED: warning('The certificate signs itself: only clients that were given it will trust it.'),
  CERTIFICATE_WITHOUT_SAN: warning('The certificate has no subjectAltName: browsers and most libraries refuse it.'),
  CERTIFICATE_NAME_NOT_COVERED: warning('A name that will be served is not among the names of the certificate.'),
  CERTIFICATE_NAMES_NARROWED: warning('The certificate no longer covers names that the replaced one covered.'),
  CERTIFICATE_EXPIRES_SOONER: warning('The certificate expires before the one it replaces.'),
  CERTIFICATE_NOT_FOR_SERVERS: warning('The extended key usage does not include TLS server authentication.'),
  CERTIFICATE_SIGNATURE_WEAK: warning('A certificate of the chain is signed with SHA-1 or MD5: TLS clients refuse it.'),
  CERTIFICATE_CHAIN_INCOMPLETE: warning('The issuer of the certificate is not in the chain.'),
  CERTIFICATE_CHAIN_EXPIRED: warning('An intermediate certificate has expired.'),
  CA_CERTIFICATE_RUN_OUT: warning(
    'An authority that a rule names, or its revocation list, has run out: it lets nobody in.',
  ),
  KEY_TYPE_RARE: warning('Few TLS clients accept keys of this kind; browsers do not.'),
  CHAIN_REORDERED: repair('The chain was put in order, leaf first.'),
  CHAIN_DUPLICATES_DROPPED: repair('Certificates that were given more than once were kept once.'),
  CHAIN_ROOT_DROPPED: repair('The root was left out: clients have it or do not trust it.'),
  CHAIN_UNRELATED_DROPPED: repair('Certificates that did not issue any other of the chain were left out.'),
  CHAIN_COMPLETED: repair('Missing intermediates were added that are known from other chains.'),
  ESCAPED_NEWLINES_RESTORED: repair('Line breaks written as \\n were turned into line breaks.'),
  PLUS_SIGNS_RESTORED: repair('Plus signs that a form had turned into spaces were restored.'),
  BASE64_UNWRAPPED: repair('The PEM was wrapped in base64 once more and was unwrapped.'),
  FIELDS_SWAPPED: repair('The certificate and the key were in each other’s place.'),
  KEY_EXTRA_DROPPED: repair('Keys that do not belong to the certificate were left out.'),
  PASSPHRASE_UNUSED: repair('A passphrase was given for a key that is not encrypted, and was ignored.'),
} as const satisfies Record<string, NoticeFacts>;

export type NoticeCode = keyof typeof table;

/** The codes of warnings and repairs, with what each means. */
export const noticeCodes: Readonly<Record<NoticeCode, NoticeFacts>> = table;

/** A finding; an absent hint leaves the property out. */
export function finding(code: Finding['code'], field: FindingField, message: string, hint?: string): Finding {
  return hint === undefined ? { code, field, message } : { code, field, message, hint };
}

/** Somebody else's text inside a message: one line, quoted, at most 100 characters. */
export function quote(text: string): string {
  // oxlint-disable-next-line no-control-regex
  const line = text.replaceAll(/[\x00-\x1f\x7f]+/g, ' ');
  return line.length > 100 ? `"${line.slice(0, 99)}…"` : `"${line}"`;
}

function warning(summary: string): NoticeFacts {
  return { kind: 'warning', summary };
}

function repair(summary: string): NoticeFacts {
  return { kind: 'repair', summary };
}
