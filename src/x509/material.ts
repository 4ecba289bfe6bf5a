// From one input field to the certificates and keys in it, whatever it was wrapped in: PEM with text around it, DER,
// base64, PKCS#7. Says what else it found (a request, a file path…). Nothing is parsed here beyond its outline, and nothing is
// opened with a passphrase: PKCS#12 files are open-containers.ts's.
import { classifyDer, type DerKind } from './classify-der.ts';
import { withDefiniteLengths } from './definite-lengths.ts';
import { readElement } from './read-der.ts';
import { certificatesOfPkcs7 } from './read-pkcs7.ts';
import {
  at,
  describeFault,
  describeMisfit,
  describeOther,
  nameOf,
  type MaterialField,
  type Misfit,
} from './describe-misfit.ts';
import { finding, type Finding } from './findings.ts';
import { decodeBase64, pemBlocksMax, scanPem, type PemContent } from './pem.ts';

/** Bytes of one input, certificate or key. */
export const inputMaxBytes = 1_048_576;
/** Bytes of one certificate's DER. */
export const certificateMaxBytes = 65_536;
/** Bytes of one private key's DER. */
export const keyMaxBytes = 16_384;

export interface CertificateBlob {
  readonly der: Uint8Array;
  /** `block 2 (line 31)`; empty when there is nothing to tell apart. */
  readonly where: string;
}

export type KeyBlob = KeyEncoding & { readonly where: string };

type KeyEncoding =
  /** `unlocked`: it came out of a container that a passphrase opened. */
  | { readonly kind: 'plain'; readonly der: Uint8Array; readonly unlocked?: boolean }
  | { readonly kind: 'encrypted-pkcs8'; readonly der: Uint8Array }
  /** RFC 1421 headers: `Proc-Type: 4,ENCRYPTED`. The bytes are cipher text. */
  | { readonly kind: 'encrypted-legacy'; readonly block: PemContent };

/** A PKCS#12 file. */
export interface ContainerBlob {
  readonly bytes: Uint8Array;
  readonly where: string;
}

export interface Material {
  readonly certificates: readonly CertificateBlob[];
  readonly keys: readonly KeyBlob[];
  readonly containers: readonly ContainerBlob[];
  /** What is broken. */
  readonly problems: readonly Finding[];
  /** What is sound and of no use: it matters only when nothing else is there. */
  readonly misfits: readonly Finding[];
  readonly repairs: readonly Finding[];
}

interface Collected {
  readonly certificates: CertificateBlob[];
  readonly keys: KeyBlob[];
  readonly containers: ContainerBlob[];
  readonly problems: Finding[];
  readonly misfits: Finding[];
  readonly repairs: Finding[];
}

export const noMaterial: Material = {
  certificates: [],
  keys: [],
  containers: [],
  problems: [],
  misfits: [],
  repairs: [],
};

/** Is there a private key in it, or what may hold one? */
export function mayHoldKey(input: string | Uint8Array): boolean {
  const { keys, containers } = readMaterial(input, 'cert');
  return keys.length > 0 || containers.length > 0;
}

export function readMaterial(input: string | Uint8Array, field: MaterialField): Material {
  const found: Collected = { certificates: [], keys: [], containers: [], problems: [], misfits: [], repairs: [] };
  if (input.length > inputMaxBytes) {
    const message = `The ${nameOf(field)} is ${input.length} bytes long; at most ${inputMaxBytes} are read.`;
    found.problems.push(
      finding('CERTIFICATE_TOO_LARGE', field, message, 'Send only the certificate, its chain and its key.'),
    );
    return found;
  }
  if (typeof input !== 'string' && input[0] === 0x30 && collectDer(input, field, found)) return found;
  collectText(typeof input === 'string' ? input : decodeText(input), field, found, 'may be wrapped');
  return found;
}

function decodeText(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  // What PowerShell writes with `>`.
  return bytes[0] === 0xff && bytes[1] === 0xfe ? buffer.toString('utf16le') : buffer.toString('utf8');
}

function collectText(
  given: string,
  field: MaterialField,
  found: Collected,
  wrapping: 'may be wrapped' | 'unwrapped',
): void {
  const text = restoreNewlines(given, field, found);
  const { blocks, truncated } = scanPem(text);
  if (truncated) {
    const message = `The ${nameOf(field)} holds more than ${pemBlocksMax} PEM blocks.`;
    const hint = 'This looks like a bundle of CA certificates. Send the server certificate and its intermediates only.';
    found.problems.push(finding('CERTIFICATE_CHAIN_TOO_LONG', field, message, hint));
    return;
  }
  for (const [index, block] of blocks.entries()) {
    const where = blocks.length > 1 ? `block ${index + 1} (line ${block.line})` : '';
    if (block.kind === 'content') collectBlock(block, where, field, found);
    else found.problems.push(describeFault(block, where, field));
  }
  if (blocks.some((block) => block.kind === 'content' && block.plusSignsRestored)) {
    const message = `Plus signs of the ${nameOf(field)} had become spaces and were restored.`;
    const hint = 'With curl, send files with --form name=@file or --data-urlencode name@file instead of --data.';
    found.repairs.push(finding('PLUS_SIGNS_RESTORED', field, message, hint));
  }
  if (blocks.length > 0) return;
  const bare = text.replaceAll(/[\s\uFEFF]+/g, '');
  // Dashes are letters of the URL alphabet: what is left of armour must not pass for base64.
  const decoded = bare.length >= 64 && !bare.includes('-----') ? decodeBase64(bare) : undefined;
  if (decoded !== undefined && wrapping === 'may be wrapped' && decoded.includes('-----BEGIN ')) {
    found.repairs.push(
      finding('BASE64_UNWRAPPED', field, `The ${nameOf(field)} was PEM wrapped in base64; it was unwrapped.`),
    );
    collectText(decoded.toString('utf8'), field, found, 'unwrapped');
  } else if (decoded === undefined || !collectDer(decoded, field, found)) {
    if (!collectBinaryText(text, field, found)) found.problems.push(describeOther(given, field));
  }
}

/** `\n` spelled out, as a JSON or YAML value inside another one leaves it. */
function restoreNewlines(text: string, field: MaterialField, found: Collected): string {
  if (!text.includes('\\n') || !text.includes('-----BEGIN ')) return text;
  const message = `Line breaks of the ${nameOf(field)} were written as \\n and were turned into line breaks.`;
  found.repairs.push(finding('ESCAPED_NEWLINES_RESTORED', field, message));
  return text.replaceAll('\\r', '').replaceAll('\\n', '\n');
}

type Collector = (block: PemContent, where: string, field: MaterialField, found: Collected) => void;

const collectors: Readonly<Record<string, Collector>> = {
  CERTIFICATE: addCertificate,
  'X509 CERTIFICATE': addCertificate,
  'TRUSTED CERTIFICATE': addCertificate,
  'PRIVATE KEY': addKey,
  'RSA PRIVATE KEY': addKey,
  'EC PRIVATE KEY': addKey,
  'DSA PRIVATE KEY': addKey,
  'ENCRYPTED PRIVATE KEY': addKey,
  'EC PARAMETERS': ignore,
  'DSA PARAMETERS': ignore,
  'DH PARAMETERS': ignore,
  'CERTIFICATE REQUEST': refuse('request'),
  'NEW CERTIFICATE REQUEST': refuse('request'),
  'PUBLIC KEY': refuse('public-key'),
  'RSA PUBLIC KEY': refuse('public-key'),
  PKCS7: addBundle,
  'PKCS #7 SIGNED DATA': addBundle,
  CMS: addBundle,
  PKCS12: addContainer,
  'OPENSSH PRIVATE KEY': refuse('openssh-key'),
};

function collectBlock(block: PemContent, where: string, field: MaterialField, found: Collected): void {
  // Other labels, such as revocation lists, do no harm beside a certificate. Alone they leave the field empty.
  (collectors[block.label] ?? ignore)(block, where, field, found);
}

function ignore(): void {}

function refuse(misfit: Misfit): Collector {
  return (_block, where, field, found) => {
    found.misfits.push(describeMisfit(misfit, where, field));
  };
}

export function addCertificate(block: PemContent, where: string, field: MaterialField, found: Collected): void {
  // What Windows calls a certificate may be a whole bundle.
  if (classifyDer(block.bytes) === 'pkcs7') {
    addBundle(block, where, field, found);
    return;
  }
  // TRUSTED CERTIFICATE carries OpenSSL's own data after the certificate.
  const der = block.label === 'TRUSTED CERTIFICATE' ? (readElement(block.bytes)?.whole ?? block.bytes) : block.bytes;
  if (der.length > certificateMaxBytes) {
    const message = `A certificate${at(where)} is ${der.length} bytes long; at most ${certificateMaxBytes} are taken.`;
    found.problems.push(finding('CERTIFICATE_TOO_LARGE', field, message));
  } else {
    found.certificates.push({ der, where });
  }
}

function addBundle({ bytes }: PemContent, where: string, field: MaterialField, found: Collected): void {
  const certificates = certificatesOfPkcs7(bytes);
  if (certificates === undefined || certificates.length === 0) {
    found.misfits.push(describeMisfit('pkcs7', where, field));
  } else if (certificates.length > pemBlocksMax) {
    const message = `The PKCS#7 bundle${at(where)} holds ${certificates.length} certificates.`;
    const hint = 'Send the server certificate and its intermediates only.';
    found.problems.push(finding('CERTIFICATE_CHAIN_TOO_LONG', field, message, hint));
  } else {
    for (const [index, der] of certificates.entries()) {
      addCertificate(derBlock('CERTIFICATE', der), `certificate ${index + 1} of the PKCS#7 bundle`, field, found);
    }
  }
}

function addContainer({ bytes }: PemContent, where: string, _field: MaterialField, found: Collected): void {
  found.containers.push({ bytes, where });
}

export function addKey(block: PemContent, where: string, field: MaterialField, found: Collected): void {
  const legacy = block.headers.some((header) => /^Proc-Type:\s*4,\s*ENCRYPTED$/i.test(header));
  if (block.bytes.length > keyMaxBytes) {
    const message = `A private key${at(where)} is ${block.bytes.length} bytes long; at most ${keyMaxBytes} are taken.`;
    found.problems.push(finding('CERTIFICATE_TOO_LARGE', field, message));
  } else if (legacy) {
    found.keys.push({ kind: 'encrypted-legacy', block, where });
  } else {
    // What it holds decides, not its label.
    const kind = classifyDer(block.bytes) === 'encrypted-private-key' ? 'encrypted-pkcs8' : 'plain';
    found.keys.push({ kind, der: block.bytes, where });
  }
}

/** Certificates and keys one after the other, without armour. False when the bytes are nothing known. */
function collectDer(bytes: Uint8Array, field: MaterialField, found: Collected): boolean {
  let count = 0;
  for (let rest = bytes; rest.length > 0 && count < pemBlocksMax; count += 1) {
    const object = readObject(rest);
    // Trailing bytes after something readable: a line feed that an editor added, say.
    if (object === undefined) break;
    const where = count === 0 ? '' : `DER object ${count + 1}`;
    collectBlock(derBlock(derLabels[object.kind], object.der), where, field, found);
    rest = rest.subarray(object.length);
  }
  return count > 0;
}

function readObject(bytes: Uint8Array) {
  const element = readElement(bytes);
  const kind = element === undefined ? 'unknown' : classifyDer(element.whole);
  if (element !== undefined && kind !== 'unknown') return { kind, der: element.whole, length: element.whole.length };
  const definite = withDefiniteLengths(bytes);
  const opened = definite === undefined ? 'unknown' : classifyDer(definite.der);
  return definite === undefined || opened === 'unknown' ? undefined : { kind: opened, ...definite };
}

export function derBlock(label: string, der: Uint8Array): PemContent {
  return { kind: 'content', label, headers: [], bytes: Buffer.from(der), plusSignsRestored: false, line: 1 };
}

const derLabels: Readonly<Record<Exclude<DerKind, 'unknown'>, string>> = {
  certificate: 'CERTIFICATE',
  request: 'CERTIFICATE REQUEST',
  'private-key': 'PRIVATE KEY',
  'encrypted-private-key': 'ENCRYPTED PRIVATE KEY',
  'public-key': 'PUBLIC KEY',
  pkcs7: 'PKCS7',
  pkcs12: 'PKCS12',
};

/** DER that was read into a string byte by byte. */
function collectBinaryText(text: string, field: MaterialField, found: Collected): boolean {
  // oxlint-disable-next-line no-control-regex
  return text.startsWith('0') && /^[\x00-\xff]*$/.test(text) && collectDer(Buffer.from(text, 'latin1'), field, found);
}
