// Inputs that are something else than a certificate or a private key: what they are, and what to send instead.
import { finding, quote, type Finding } from './findings.ts';
import type { PemFault } from './pem.ts';
import { readSealedPlaceholder } from './sealed-placeholder.ts';

export type Misfit = 'request' | 'public-key' | 'pkcs7' | 'openssh-key';
export type MaterialField = 'cert' | 'key';

/** `certificate` or `key`. */
export function nameOf(field: MaterialField): string {
  return field === 'cert' ? 'certificate' : 'key';
}

export function at(where: string): string {
  return where === '' ? '' : ` in ${where}`;
}

/** The whole input, or a block of it, is of a kind that we recognise and do not take. */
export function describeMisfit(misfit: Misfit, where: string, field: MaterialField): Finding {
  const { code, is, hint } = misfits[misfit];
  return finding(code ?? unreadable[field], field, `The ${nameOf(field)} field holds ${is}${at(where)}.`, hint);
}

const misfits: Readonly<
  Record<Misfit, { readonly is: string; readonly hint: string; readonly code?: 'CERTIFICATE_FORMAT_UNSUPPORTED' }>
> = {
  request: {
    is: 'a certificate signing request, which is what a CA is asked with, not what it answers',
    hint: 'Send the certificate that the CA issued for this request (BEGIN CERTIFICATE).',
  },
  'public-key': {
    is: 'a bare public key',
    hint: 'Send the certificate (BEGIN CERTIFICATE) and, in the key field, the private key (BEGIN PRIVATE KEY).',
  },
  pkcs7: {
    code: 'CERTIFICATE_FORMAT_UNSUPPORTED',
    is: 'PKCS#7 that is no bundle of certificates',
    hint: 'Send the bundle that your CA offers (.p7b), or the certificates as PEM.',
  },
  'openssh-key': {
    is: 'an OpenSSH private key, which TLS does not use',
    hint: 'Send the key the certificate was requested with (BEGIN PRIVATE KEY).',
  },
};

/** A PEM block that cannot be decoded. */
export function describeFault(block: PemFault, where: string, field: MaterialField): Finding {
  const message = `The PEM block ${quote(block.label)}${at(where || `line ${block.line}`)} ${faults[block.fault](block.label)}.`;
  return finding(unreadable[field], field, message, 'Send the file as it is, from -----BEGIN to -----END.');
}

const faults: Readonly<Record<PemFault['fault'], (label: string) => string>> = {
  'no-end': (label) => `has no -----END ${label}----- line: it is cut off`,
  'not-base64': () => 'holds characters that are not base64',
  empty: () => 'is empty',
};

/** An input in which nothing was found at all. */
export function describeOther(text: string, field: MaterialField): Finding {
  const trimmed = text.trim();
  const guess = guesses.find(({ matches }) => matches(trimmed));
  const message =
    guess?.message(nameOf(field)) ?? `The ${nameOf(field)} is not PEM, DER or base64 (${text.length} characters).`;
  return finding(unreadable[field], field, message, guess?.hint(field) ?? expected[field]);
}

interface Guess {
  readonly matches: (trimmed: string) => boolean;
  readonly message: (name: string) => string;
  readonly hint: (field: MaterialField) => string;
}

const guesses: readonly Guess[] = [
  {
    matches: (text) => text === '',
    message: (name) => `The ${name} is empty.`,
    hint: (field) => expected[field],
  },
  {
    matches: looksLikePath,
    message: (name) => `The ${name} looks like a file path, not like the contents of a file.`,
    hint: (field) => `Send the contents; with curl use --form config.${field}=@/path/to/file.`,
  },
  {
    matches: (text) => readSealedPlaceholder(text) !== undefined,
    message: (name) => `The ${name} is the placeholder of a stored key, and no key is stored here to keep.`,
    hint: () => 'Send the private key itself.',
  },
  {
    matches: (text) => text.startsWith('{vault://'),
    message: (name) => `The ${name} is a vault reference; references are not resolved.`,
    hint: () => 'Send the contents.',
  },
  {
    matches: (text) => text.includes('\uFFFD') || text.includes('\0'),
    message: (name) =>
      `The ${name} is binary that was damaged by being read as text, or no certificate material at all.`,
    hint: () => 'Send DER as a multipart file part or in base64, or convert it to PEM: openssl x509 -inform DER.',
  },
  {
    matches: (text) => text.includes('-----END '),
    message: (name) => `The ${name} has an -----END line but no -----BEGIN line: its start is missing.`,
    hint: () => 'Send the file as it is, from -----BEGIN to -----END.',
  },
];

/** One line that starts or ends as a path does. */
function looksLikePath(text: string): boolean {
  if (text.length > 4096 || /[\r\n]/.test(text)) return false;
  return (
    /^(@|file:|~|\.{0,2}\/|\.{0,2}\\|[A-Za-z]:[\\/])/.test(text) ||
    /^[^\s:]{1,255}\.(pem|crt|cer|cert|key|der|p12|pfx|p7b|p7c|csr|txt)$/i.test(text)
  );
}

const unreadable = { cert: 'CERTIFICATE_UNREADABLE', key: 'KEY_UNREADABLE' } as const;

const expected = {
  cert: 'Send PEM text that begins with -----BEGIN CERTIFICATE-----.',
  key: 'Send PEM text that begins with -----BEGIN PRIVATE KEY-----.',
} as const;
