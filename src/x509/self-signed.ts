// Makes a self-signed server certificate: the one that is served until there is a better one. Certificates that come
// in are intake's.
import { KeyObject, webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';

export interface SelfSignedOptions {
  readonly commonName: string;
  /** subjectAltName, in A-labels. */
  readonly dnsNames: readonly string[];
  /** P-256 or RSA 2048. */
  readonly keyType: 'ec' | 'rsa';
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly days: number;
}

export interface SelfSigned {
  /** One PEM block. */
  readonly chain: string;
  /** PKCS#8 PEM, plain. */
  readonly key: string;
}

const dayMs = 86_400_000;
/** Clients whose clock is behind should take it too. */
const clockSkewMs = dayMs;

/** The certificate is no CA, names O=Portunus, and is valid from a day ago. */
export async function selfSigned(options: SelfSignedOptions): Promise<SelfSigned> {
  const algorithm = algorithms[options.keyType];
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      name: new Name([{ O: ['Portunus'] }, { CN: [options.commonName] }]),
      notBefore: new Date(options.now - clockSkewMs),
      notAfter: new Date(options.now + options.days * dayMs),
      keys,
      signingAlgorithm: algorithm,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        new SubjectAlternativeNameExtension(options.dnsNames.map((value) => ({ type: 'dns', value }))),
      ],
    },
    webcrypto,
  );
  const key = KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' });
  return { chain: `${certificate.toString('pem')}\n`, key: key.toString() };
}

const algorithms = {
  ec: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  rsa: {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
  },
} as const;
