// Certificates made while a test runs: authorities, intermediates, leaves, self-signed ones, of any key, hash and date.
// Synchronous and fast (EC: under a millisecond). RSA keys are shared per size within a process unless `freshKey` is set.
import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  type KeyObject,
  X509Certificate,
} from 'node:crypto';
import { isIP } from 'node:net';
import {
  bitString,
  boolean,
  context,
  integer,
  nullValue,
  objectIdentifier,
  octetString,
  sequence,
  set,
  time,
  utf8String,
} from '../../src/x509/write-der.ts';
import { encodePem } from '../../src/x509/pem.ts';
import { rememberKey } from './secrets.ts';

const dayMs = 86_400_000;

export interface KeyOptions {
  /** Default `ec`. */
  readonly keyType?: 'ec' | 'rsa' | 'ed25519' | 'ed448' | 'dsa';
  /** RSA and DSA modulus bits. Default 2048. */
  readonly bits?: number;
  /** OpenSSL's name of an EC curve. Default P-256. */
  readonly curve?: string;
  /** RSA only: a key no other certificate of this process has. */
  readonly freshKey?: boolean;
  /** Use this private key instead of making one. */
  readonly privateKey?: KeyObject;
}

export interface LeafOptions extends KeyOptions {
  /** SAN entries: host names, wildcards, IP addresses. The first is the common name too. */
  readonly names: readonly string[];
  readonly notBefore?: Date | number;
  readonly notAfter?: Date | number;
  /** basicConstraints CA:TRUE. */
  readonly ca?: boolean;
  /** The issuer's signature hash. Default sha256. */
  readonly hash?: Hash;
  /** Instead of the first name; empty: none. */
  readonly commonName?: string;
  /** Leave subjectAltName out. */
  readonly withoutSan?: boolean;
  /** DER of whole extensions, added to the usual ones. */
  readonly extensions?: readonly Buffer[];
}

export interface AuthorityOptions extends KeyOptions {
  readonly commonName?: string;
  readonly notBefore?: Date | number;
  readonly notAfter?: Date | number;
  readonly hash?: Hash;
  /** How many authorities may be below it. */
  readonly pathLength?: number;
  /** DER of whole extensions, added to the usual ones. */
  readonly extensions?: readonly Buffer[];
}

export interface Issued {
  /** PEM of the certificate alone. */
  readonly cert: string;
  /** PKCS#8 PEM, plain. */
  readonly key: string;
  /** PEM: the certificate, then the intermediates towards the root, without the root. */
  readonly chain: string;
}

export interface Authority {
  /** PEM. */
  readonly certificate: string;
  /** PKCS#8 PEM, plain. */
  readonly key: string;
  issue(options: LeafOptions): Issued;
  /** An authority under this one; what it issues has it in `chain`. */
  intermediate(options?: AuthorityOptions): Authority;
  /** PEM of a list that names these certificates. */
  revoke(certificates: readonly string[], options?: RevocationOptions): string;
}

export interface RevocationOptions {
  readonly thisUpdate?: Date | number;
  /** null: it says none. Default: in a week. */
  readonly nextUpdate?: Date | number | null;
  readonly hash?: Hash;
  /** DER of whole extensions, of the list and of each entry. */
  readonly extensions?: readonly Buffer[];
  readonly entryExtensions?: readonly Buffer[];
}

type Hash = 'sha1' | 'md5' | 'sha256' | 'sha384' | 'sha512';

/** A root (its own issuer) with a name no other authority of this process has, unless one is given. */
export function makeAuthority(options: AuthorityOptions = {}): Authority {
  const privateKey = makePrivateKey(options);
  const subject = { commonName: options.commonName ?? `Test Root ${uniqueNumber()}`, organization: 'Test Authority' };
  const self: Signer = { name: distinguishedName(subject), privateKey };
  const der = certificateDer(self, { ...options, name: self.name, publicKey: privateKey, names: [], ca: true });
  return authority(self, der, []);
}

/** A certificate that signs itself: what `openssl req -x509` makes (CA:TRUE) unless `ca` is false. */
export function makeSelfSigned(options: LeafOptions): { readonly cert: string; readonly key: string } {
  const privateKey = makePrivateKey(options);
  const self: Signer = { name: leafName(options), privateKey };
  const der = certificateDer(self, { ca: true, ...options, name: self.name, publicKey: privateKey });
  return { cert: encodePem('CERTIFICATE', der), key: privatePem(privateKey) };
}

export function makePrivateKey(options: KeyOptions = {}): KeyObject {
  const key = options.privateKey ?? freshPrivateKey(options);
  rememberKey(key);
  return key;
}

function freshPrivateKey(options: KeyOptions): KeyObject {
  const bits = options.bits ?? 2048;
  const makers = {
    ec: () => generateKeyPairSync('ec', { namedCurve: options.curve ?? 'prime256v1' }).privateKey,
    ed25519: () => generateKeyPairSync('ed25519').privateKey,
    ed448: () => generateKeyPairSync('ed448').privateKey,
    dsa: () => generateKeyPairSync('dsa', { modulusLength: bits, divisorLength: 256 }).privateKey,
    rsa: () => (options.freshKey === true ? makeRsaKey(bits) : sharedRsaKey(bits)),
  };
  return makers[options.keyType ?? 'ec']();
}

interface Signer {
  readonly name: Buffer;
  readonly privateKey: KeyObject;
}

interface Content extends Omit<LeafOptions, 'privateKey'> {
  readonly name: Buffer;
  /** A private key stands for its public half. */
  readonly publicKey: KeyObject;
  readonly pathLength?: number;
}

function authority(self: Signer, der: Buffer, above: readonly string[]): Authority {
  const certificate = encodePem('CERTIFICATE', der);
  const isRoot = above.length === 0;
  return {
    certificate,
    key: privatePem(self.privateKey),
    issue(options) {
      const privateKey = makePrivateKey(options);
      const leaf = certificateDer(self, { ...options, name: leafName(options), publicKey: privateKey });
      const cert = encodePem('CERTIFICATE', leaf);
      const between = isRoot ? [] : [certificate, ...above.slice(0, -1)];
      return { cert, key: privatePem(privateKey), chain: [cert, ...between].join('') };
    },
    intermediate(options = {}) {
      const privateKey = makePrivateKey(options);
      const commonName = options.commonName ?? `Test Intermediate ${uniqueNumber()}`;
      const name = distinguishedName({ commonName, organization: 'Test Authority' });
      const content = { ...options, name, publicKey: privateKey, names: [], ca: true };
      return authority({ name, privateKey }, certificateDer(self, content), [certificate, ...above]);
    },
    revoke: (certificates, options = {}) => encodePem('X509 CRL', revocationListDer(self, certificates, options)),
  };
}

/** RFC 5280 section 4.1. */
function certificateDer(issuer: Signer, content: Content): Buffer {
  const algorithm = signatureAlgorithm(issuer.privateKey, content.hash ?? 'sha256');
  const now = Date.now();
  const spki = createPublicKey(content.publicKey).export({ type: 'spki', format: 'der' });
  const toBeSigned = sequence(
    context(0, integer(2)),
    integer(Buffer.concat([Buffer.from([1 + ((randomBytes(1)[0] ?? 0) % 126)]), randomBytes(15)])),
    algorithm.identifier,
    issuer.name,
    sequence(
      time(new Date(content.notBefore ?? now - dayMs)),
      time(new Date(content.notAfter ?? now + (content.ca === true ? 3650 : 90) * dayMs)),
    ),
    content.name,
    spki,
    context(3, sequence(...extensions(issuer, content, spki))),
  );
  const signature = sign(algorithm.hash, toBeSigned, issuer.privateKey);
  return sequence(toBeSigned, algorithm.identifier, bitString(signature));
}

/** RFC 5280 section 5.1. */
function revocationListDer(issuer: Signer, certificates: readonly string[], options: RevocationOptions): Buffer {
  const algorithm = signatureAlgorithm(issuer.privateKey, options.hash ?? 'sha256');
  const { thisUpdate = Date.now() - dayMs, nextUpdate = Date.now() + 7 * dayMs } = options;
  const added = (list: readonly Buffer[] | undefined) => (list === undefined ? [] : [sequence(...list)]);
  const entries = certificates.map((pem) =>
    sequence(
      integer(Buffer.from(new X509Certificate(pem).serialNumber, 'hex')),
      time(new Date(thisUpdate)),
      ...added(options.entryExtensions),
    ),
  );
  const toBeSigned = sequence(
    integer(1),
    algorithm.identifier,
    issuer.name,
    time(new Date(thisUpdate)),
    ...(nextUpdate === null ? [] : [time(new Date(nextUpdate))]),
    ...(entries.length === 0 ? [] : [sequence(...entries)]),
    ...added(options.extensions).map((list) => context(0, list)),
  );
  return sequence(toBeSigned, algorithm.identifier, bitString(sign(algorithm.hash, toBeSigned, issuer.privateKey)));
}

function extensions(issuer: Signer, content: Content, spki: Buffer): readonly Buffer[] {
  const ca = content.ca === true;
  const issuerSpki = createPublicKey(issuer.privateKey).export({ type: 'spki', format: 'der' });
  const list = [
    extension(
      '2.5.29.19',
      sequence(
        ...(ca ? [boolean(true)] : []),
        ...(content.pathLength === undefined ? [] : [integer(content.pathLength)]),
      ),
      'critical',
    ),
    extension('2.5.29.14', octetString(keyIdentifier(spki))),
    extension('2.5.29.35', sequence(context(0, keyIdentifier(issuerSpki), 'primitive'))),
  ];
  // An end certificate that happens to be CA:TRUE carries no keyUsage, as `openssl req -x509` makes it.
  if (ca && content.names.length === 0)
    list.push(extension('2.5.29.15', bitString(Buffer.from([0x06]), 1), 'critical'));
  if (content.names.length > 0 && content.withoutSan !== true) {
    list.push(extension('2.5.29.17', sequence(...content.names.map(generalName))));
  }
  return [...list, ...(content.extensions ?? [])];
}

export function extension(oid: string, value: Buffer, criticality?: 'critical'): Buffer {
  const critical = criticality === 'critical' ? [boolean(true)] : [];
  return sequence(objectIdentifier(oid), ...critical, octetString(value));
}

function generalName(name: string): Buffer {
  if (isIP(name) === 4) return context(7, Buffer.from(name.split('.').map(Number)), 'primitive');
  return context(2, Buffer.from(name, 'latin1'), 'primitive');
}

/** Any stable value will do (RFC 5280 section 4.2.1.2). */
function keyIdentifier(spki: Buffer): Buffer {
  return createHash('sha256').update(spki).digest().subarray(0, 20);
}

function leafName(options: LeafOptions): Buffer {
  const commonName = options.commonName ?? options.names[0] ?? '';
  return distinguishedName({ commonName: commonName.slice(0, 64) });
}

function distinguishedName(parts: { readonly commonName: string; readonly organization?: string }): Buffer {
  const attributes: Buffer[] = [];
  if (parts.organization !== undefined) attributes.push(attribute('2.5.4.10', parts.organization));
  if (parts.commonName !== '') attributes.push(attribute('2.5.4.3', parts.commonName));
  return sequence(...attributes);
}

function attribute(oid: string, value: string): Buffer {
  return set(sequence(objectIdentifier(oid), utf8String(value)));
}

const rsaSignature = {
  md5: '1.2.840.113549.1.1.4',
  sha1: '1.2.840.113549.1.1.5',
  sha256: '1.2.840.113549.1.1.11',
  sha384: '1.2.840.113549.1.1.12',
  sha512: '1.2.840.113549.1.1.13',
} as const;
const ecSignature = {
  md5: '',
  sha1: '1.2.840.10045.4.1',
  sha256: '1.2.840.10045.4.3.2',
  sha384: '1.2.840.10045.4.3.3',
  sha512: '1.2.840.10045.4.3.4',
} as const;

function signatureAlgorithm(key: KeyObject, hash: Hash): { readonly identifier: Buffer; readonly hash: Hash | null } {
  const type = key.asymmetricKeyType ?? 'rsa';
  if (type === 'rsa') return { identifier: sequence(objectIdentifier(rsaSignature[hash]), nullValue()), hash };
  if (type === 'ec') return { identifier: sequence(objectIdentifier(ecSignature[hash])), hash };
  if (type === 'dsa') return { identifier: sequence(objectIdentifier('2.16.840.1.101.3.4.3.2')), hash: 'sha256' };
  return { identifier: sequence(objectIdentifier(type === 'ed25519' ? '1.3.101.112' : '1.3.101.113')), hash: null };
}

const rsaKeys = new Map<number, KeyObject>();

function sharedRsaKey(bits: number): KeyObject {
  const key = rsaKeys.get(bits) ?? makeRsaKey(bits);
  rsaKeys.set(bits, key);
  return key;
}

function makeRsaKey(bits: number): KeyObject {
  return generateKeyPairSync('rsa', { modulusLength: bits }).privateKey;
}

function privatePem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

let made = 0;

function uniqueNumber(): number {
  made += 1;
  return made;
}
