// One X.509 certificate and the facts that are asked about it. node:crypto judges whether it is valid; the names are read
// from the DER itself, because Node gives them as text in which a name may hide.
import { createHash, X509Certificate, type KeyObject } from 'node:crypto';
import { createLru } from '../lib/lru.ts';
import { childrenOf, objectIdentifierOf, readElement, readElements, tags, type Element } from './read-der.ts';
import { encodePem, scanPem } from './pem.ts';
import { copyingMs } from './verification-work.ts';
import { publicKeyFacts, type KeyType, type PublicKeyFacts } from './public-key.ts';

export interface Certificate {
  readonly x509: X509Certificate;
  /** One block, ended by a newline. */
  readonly pem: string;
  readonly fingerprint: string;
  /** `nameKey` of the subject and of the issuer. */
  readonly subjectKey: string;
  readonly issuerKey: string;
  /** `CN=a.test, O=Example`. */
  readonly subject: string;
  readonly issuer: string;
  readonly serialNumber: string;
  readonly dnsNames: readonly string[];
  /** The names are those of subjectAltName, not the common name in their place. */
  readonly hasSan: boolean;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** basicConstraints CA:TRUE. */
  readonly isAuthority: boolean;
  readonly signsItself: boolean;
  /** Undefined: of a kind that this OpenSSL cannot read. */
  readonly publicKey: (PublicKeyFacts & { readonly key: KeyObject }) | undefined;
  readonly signedWith: string;
  /** Extended key usages, dotted; undefined when there is no such extension: any use. Empty, for none, when it cannot be read. */
  readonly extendedKeyUsage: readonly string[] | undefined;
}

/** The facts of a stored chain's leaf, as `intake` gives them. */
export interface CertificateFacts {
  readonly publicKeySha256: string;
  readonly fingerprint: string;
  readonly keyType: KeyType;
  readonly keyBits: number;
  readonly subject: string;
  readonly issuer: string;
  readonly serialNumber: string;
  readonly dnsNames: readonly string[];
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Many leaves come with the same few intermediates, and parsing one takes as long as parsing a leaf. */
const authorities = createLru<string, Certificate>(256);

/** Undefined when the bytes are not exactly one certificate. Never throws. */
export function parseCertificate(der: Uint8Array): Certificate | undefined {
  try {
    if (readElement(der)?.whole.length !== der.length) return undefined;
    const fingerprint = createHash('sha256').update(der).digest('hex');
    const known = authorities.get(fingerprint);
    if (known !== undefined) return known;
    const certificate = readFields(der, fingerprint);
    if (certificate?.isAuthority === true) authorities.set(fingerprint, certificate);
    return certificate;
  } catch {
    // OpenSSL's reasons ("header too long") help nobody; the caller says which block it was.
    return undefined;
  }
}

/** The facts of the first certificate of a PEM text; undefined when there is none or TLS cannot use its key. */
export function describeCertificate(pem: string): CertificateFacts | undefined {
  const block = scanPem(pem).blocks.find((found) => found.label === 'CERTIFICATE');
  const certificate = block?.kind === 'content' ? parseCertificate(block.bytes) : undefined;
  return certificate === undefined ? undefined : factsOf(certificate);
}

/** Undefined when TLS cannot use its key. */
export function factsOf(certificate: Certificate): CertificateFacts | undefined {
  const key = certificate.publicKey;
  const keyType = key?.type;
  if (key === undefined || keyType === undefined) return undefined;
  const { fingerprint, subject, issuer, serialNumber, dnsNames, notBefore, notAfter } = certificate;
  const facts = { fingerprint, subject, issuer, serialNumber, dnsNames, notBefore, notAfter };
  return { ...facts, publicKeySha256: key.sha256, keyType, keyBits: key.bits };
}

/** A stable key of a distinguished name: the SHA-256 of its DER, hex. */
export function nameKey(nameDer: Uint8Array): string {
  return createHash('sha256').update(nameDer).digest('hex');
}

/** Did this one sign that one? By name first, then by signature; never throws. */
export function hasIssued(issuer: Certificate, subject: Certificate): boolean {
  return issuer.subjectKey === subject.issuerKey && hasSigned(issuer, subject);
}

/** By signature alone; never throws. */
export function hasSigned(issuer: Certificate, subject: Certificate): boolean {
  return issuer.publicKey !== undefined && verifies(subject.x509, issuer.publicKey.key);
}

function verifies(x509: X509Certificate, key: KeyObject): boolean {
  try {
    return x509.verify(key);
  } catch {
    return false;
  }
}

function readFields(der: Uint8Array, fingerprint: string): Certificate | undefined {
  const { issuer, subject, spki, extensions } = outlineOf(der);
  if (issuer === undefined || subject === undefined || spki === undefined || !areReadable(extensions)) return undefined;
  if (hasHalfPoints(spki) || copyingMs(issuer, der) > copyingMaxMs) return undefined;
  const x509 = new X509Certificate(der);
  const publicKey = readPublicKey(x509, spki.whole);
  const subjectKey = nameKey(subject.whole);
  const issuerKey = nameKey(issuer.whole);
  const alternative = alternativeNames(extensions.get(subjectAltName));
  const notBefore = x509.validFromDate.getTime();
  const notAfter = x509.validToDate.getTime();
  if (Number.isNaN(notBefore) || Number.isNaN(notAfter)) return undefined;
  return {
    x509,
    pem: encodePem('CERTIFICATE', der),
    fingerprint,
    subjectKey,
    issuerKey,
    subject: oneLine(x509.subject),
    issuer: oneLine(x509.issuer),
    serialNumber: x509.serialNumber,
    dnsNames: alternative.length > 0 ? alternative : commonNames(subject),
    hasSan: extensions.has(subjectAltName),
    notBefore,
    notAfter,
    isAuthority: x509.ca,
    signsItself: subjectKey === issuerKey && publicKey !== undefined && verifies(x509, publicKey.key),
    publicKey,
    signedWith: x509.signatureAlgorithm ?? x509.signatureAlgorithmOid,
    extendedKeyUsage: usages(extensions.get(extendedKeyUsage)),
  };
}

/** Far more than it takes for any certificate that is one. One of 100 KiB that is made for it takes 42 seconds and 2 GiB. */
const copyingMaxMs = 100;

/**
 * On a curve that is spelled out (RFC 3279 section 2.3.5) and of a point there is one coordinate alone: OpenSSL looks for the other
 * while it reads the certificate, and over a field made for it that takes more than a second.
 */
function hasHalfPoints(spki: Element): boolean {
  const [algorithm, key] = childrenOf(spki);
  const [, , , generator] = childrenOf(childrenOf(algorithm)[1]);
  return generator !== undefined && (isHalf(generator.content[0]) || isHalf(key?.content[1]));
}

function isHalf(form: number | undefined): boolean {
  return form === 2 || form === 3;
}

function readPublicKey(x509: X509Certificate, spki: Uint8Array): Certificate['publicKey'] {
  try {
    const key = x509.publicKey;
    return { key, ...publicKeyFacts(key, spki) };
  } catch {
    return undefined;
  }
}

const subjectAltName = '2.5.29.17';
const extendedKeyUsage = '2.5.29.37';
const basicConstraints = '2.5.29.19';
const keyUsage = '2.5.29.15';
/** More than fit into the longest certificate that is taken. */
const namesMax = 32_768;
const commonName = '2.5.4.3';
const dnsNameTag = 0x82;

export interface CertificateOutline {
  readonly serial: Element | undefined;
  readonly issuer: Element | undefined;
  readonly subject: Element | undefined;
  readonly spki: Element | undefined;
  /** Contents by name, dotted. */
  readonly extensions: ReadonlyMap<string, Uint8Array>;
  /** Names of those that must not be passed over. */
  readonly critical: ReadonlySet<string>;
}

/**
 * Where the parts of a certificate are (RFC 5280 section 4.1: `[0] version?, serial, signature, issuer, validity, subject,
 * key, …, [3] extensions`), as far as it is one.
 */
export function outlineOf(der: Uint8Array): CertificateOutline {
  const fields = childrenOf(childrenOf(readElement(der))[0]);
  const offset = fields[0]?.tag === tags.context0 ? 1 : 0;
  const list = fields.find((field, index) => index > offset && field.tag === tags.context3);
  const extensions = new Map<string, Uint8Array>();
  const critical = new Set<string>();
  for (const extension of childrenOf(readElement(list?.content ?? new Uint8Array()))) {
    const parts = childrenOf(extension);
    const value = parts.at(-1);
    const name = objectIdentifierOf(parts[0]);
    if (value?.tag === tags.octetString) extensions.set(name, value.content);
    if (parts[1]?.tag === tags.boolean) critical.add(name);
  }
  const [serial, , issuer, , subject, spki] = fields.slice(offset);
  return { serial, issuer, subject, spki, extensions, critical };
}

/**
 * Extensions that OpenSSL looks into before it serves a certificate: over one that it cannot read it takes the certificate, and
 * then lets every handshake of TLS 1.2 fail.
 */
function areReadable(extensions: CertificateOutline['extensions']): boolean {
  return Object.entries(shapes).every(([name, isSound]) => {
    const value = extensions.get(name);
    if (value === undefined) return true;
    const element = readElement(value);
    return element?.whole.length === value.length && isSound(element);
  });
}

const shapes: Readonly<Record<string, (value: Element) => boolean>> = {
  [subjectAltName]: ({ tag, content }) =>
    tag === tags.sequence && readElements(content, namesMax)?.every((name) => name.tag >> 6 === 2) === true,
  [extendedKeyUsage]: ({ tag, content }) =>
    tag === tags.sequence && readElements(content)?.every((usage) => usage.tag === tags.objectIdentifier) === true,
  [basicConstraints]: ({ tag }) => tag === tags.sequence,
  [keyUsage]: ({ tag }) => tag === tags.bitString,
};

/** Not asked of `x509.keyUsage`: over one that it cannot read Node leaves an error for whatever OpenSSL does next. */
function usages(value: Uint8Array | undefined): readonly string[] | undefined {
  if (value === undefined) return undefined;
  return childrenOf(readElement(value)).map((usage) => objectIdentifierOf(usage));
}

function alternativeNames(value: Uint8Array | undefined): readonly string[] {
  const names = (value && readElements(readElement(value)?.content ?? value, namesMax)) ?? [];
  return distinctNames(names.filter((name) => name.tag === dnsNameTag).map((name) => name.content));
}

/** RDNSequence of SETs of (type, value). */
function commonNames(subject: Element): readonly string[] {
  const attributes = childrenOf(subject)
    .flatMap((set) => childrenOf(set, tags.set))
    .map((pair) => childrenOf(pair));
  const values = attributes
    .filter(([type]) => objectIdentifierOf(type) === commonName)
    .map(([, value]) => value?.content);
  return distinctNames(values.filter((value) => value !== undefined)).filter((name) =>
    /^(\*\.)?[a-z0-9_.-]+$/.test(name),
  );
}

/** Lower case, each once. What is not printable ASCII cannot be a DNS name and matches nothing. */
function distinctNames(values: readonly Uint8Array[]): readonly string[] {
  const texts = values.map((value) => Buffer.from(value).toString('latin1').toLowerCase());
  return [...new Set(texts.filter((text) => /^[\x21-\x7e]{1,253}$/.test(text)))];
}

function oneLine(name: string | undefined): string {
  return (name ?? '').replaceAll('\n', ', ');
}
