// What intake works on: the distinct certificates and the opened keys of its two input fields, whichever field they were
// sent in, and what was wrong with the rest.
import { parseCertificate, type Certificate } from './certificate.ts';
import { at, type MaterialField } from './describe-misfit.ts';
import { finding, type Finding } from './findings.ts';
import { noMaterial, readMaterial, type CertificateBlob, type KeyBlob, type Material } from './material.ts';
import { openContainers } from './open-containers.ts';
import { keyDerivationMaxRounds } from './key-derivation.ts';
import { readPrivateKey, type PrivateKeyResult, workOf } from './private-key.ts';

/** Private keys of one input that are tried. */
export const keyMaxCount = 4;

export interface SourcesInput {
  readonly cert: string | Uint8Array;
  readonly key: string | Uint8Array | undefined;
  readonly passphrase?: string | undefined;
  /** Keys are not looked for. */
  readonly withoutKey: boolean;
}

export interface Sources {
  /** In the order they were sent, each once. */
  readonly certificates: readonly Certificate[];
  readonly keys: readonly PrivateKeyResult[];
  /** Where the keys were found, or should have been. */
  readonly keyField: MaterialField;
  readonly problems: readonly Finding[];
  readonly repairs: readonly Finding[];
}

export function readSources(input: SourcesInput): Sources {
  const { passphrase } = input;
  const sent = {
    cert: openContainers(readMaterial(input.cert, 'cert'), passphrase, 'cert'),
    key: input.withoutKey ? undefined : readKeyField(input.key, passphrase),
  };
  const swapped = areSwapped(sent.cert, sent.key);
  const { cert, key } = swapped ? { cert: sent.key ?? noMaterial, key: sent.cert } : sent;
  const certificates = readCertificates(cert);
  const keys = input.withoutKey ? noKeys : readKeys(cert, key, passphrase);
  const repairs = [...cert.repairs, ...(key?.repairs ?? []), ...certificates.repairs];
  if (swapped) {
    const message = 'The certificate was sent as the key and the key as the certificate; they were put right.';
    repairs.push(finding('FIELDS_SWAPPED', 'cert', message));
  }
  return {
    certificates: certificates.distinct,
    keys: keys.opened,
    keyField: keys.field,
    problems: [...certificates.problems, ...keys.problems],
    repairs,
  };
}

/** An empty field of a form is a field that was not sent. */
function readKeyField(key: string | Uint8Array | undefined, passphrase: string | undefined): Material | undefined {
  const isBlank = typeof key === 'string' ? key.trim() === '' : (key?.length ?? 0) === 0;
  return key === undefined || isBlank ? undefined : openContainers(readMaterial(key, 'key'), passphrase, 'key');
}

function areSwapped(cert: Material, key: Material | undefined): boolean {
  if (key === undefined || cert.certificates.length > 0 || key.keys.length > 0) return false;
  return cert.keys.length > 0 && key.certificates.length > 0;
}

function readCertificates(cert: Material) {
  const problems = [...cert.problems];
  const repairs: Finding[] = [];
  const distinct = new Map<string, Certificate>();
  let duplicates = 0;
  for (const blob of cert.certificates) {
    const certificate = parseCertificate(blob.der);
    if (certificate === undefined) problems.push(unreadable(blob));
    else if (distinct.has(certificate.fingerprint)) duplicates += 1;
    else distinct.set(certificate.fingerprint, certificate);
  }
  if (duplicates > 0) {
    const message = `${duplicates} certificate(s) had been sent more than once and were kept once.`;
    repairs.push(finding('CHAIN_DUPLICATES_DROPPED', 'cert', message));
  }
  if (cert.certificates.length === 0 && problems.length === 0) problems.push(...noCertificate(cert));
  return { distinct: [...distinct.values()], problems, repairs };
}

function unreadable(blob: CertificateBlob): Finding {
  const message = `The certificate${at(blob.where)} cannot be read: it is damaged or not an X.509 certificate.`;
  return finding(
    'CERTIFICATE_UNREADABLE',
    'cert',
    message,
    'Check the file with: openssl x509 -in cert.pem -noout -text.',
  );
}

function noCertificate(cert: Material): readonly Finding[] {
  if (cert.misfits.length > 0) return cert.misfits;
  const holds = cert.keys.length > 0 ? 'holds a private key and no certificate' : 'holds no certificate';
  const hint = 'Send the certificate (BEGIN CERTIFICATE) here and the private key in the key field.';
  return [finding('CERTIFICATE_UNREADABLE', 'cert', `The certificate field ${holds}.`, hint)];
}

interface Keys {
  readonly opened: readonly PrivateKeyResult[];
  readonly field: MaterialField;
  readonly problems: readonly Finding[];
}

const noKeys: Keys = { opened: [], field: 'key', problems: [] };

/** A key of its own field wins over one beside the certificate. */
function readKeys(cert: Material, key: Material | undefined, passphrase: string | undefined): Keys {
  const field = key === undefined && cert.keys.length > 0 ? 'cert' : 'key';
  const blobs = (key ?? cert).keys;
  const problems = [...(key?.problems ?? [])];
  if (blobs.length > keyMaxCount) problems.push(tooManyKeys(blobs, field));
  else if (blobs.reduce((sum, blob) => sum + workOf(blob, passphrase), 0) > 1) problems.push(tooCostly(field));
  // Whether a file that did not open holds a key is not known.
  const mayComeYet = (key ?? cert).containers.length > 0;
  if (blobs.length === 0 && problems.length === 0 && !mayComeYet) problems.push(...noKey(key));
  const opened = problems.length > 0 ? [] : blobs.map((blob) => readPrivateKey(blob, passphrase, field));
  return { opened, field, problems };
}

function tooManyKeys(blobs: readonly KeyBlob[], field: MaterialField): Finding {
  const message = `There are ${blobs.length} private keys; at most ${keyMaxCount} are tried.`;
  return finding('KEY_UNREADABLE', field, message, 'Send the one that belongs to the certificate.');
}

/** Each may be, and all of them together not: they are tried in the process that answers everybody. */
function tooCostly(field: MaterialField): Finding {
  const message = `To try the passphrase takes more than ${keyDerivationMaxRounds} rounds, or their like in scrypt, in all.`;
  const hint =
    'Send one key, and its passphrase without a line break; or take the passphrase off: openssl pkey -in key.pem.';
  return finding('KEY_UNSUPPORTED', field, message, hint);
}

function noKey(key: Material | undefined): readonly Finding[] {
  if (key === undefined) {
    const hint = 'Send the private key (BEGIN PRIVATE KEY) in the key field.';
    return [finding('KEY_MISSING', 'key', 'There is no private key.', hint)];
  }
  if (key.misfits.length > 0) return key.misfits;
  const holds = key.certificates.length > 0 ? 'holds a certificate and no private key' : 'holds no private key';
  const hint = 'Send the private key (BEGIN PRIVATE KEY) that the certificate was requested with.';
  return [finding('KEY_UNREADABLE', 'key', `The key field ${holds}.`, hint)];
}
