// The certificates of `ssl_cert` and `admin_ssl_cert` with their keys: read, paired by position, matched. Whether a chain is
// complete, and what clients think of it, is not looked at here.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { StaticCertificate } from './config.ts';
import type { PemSource } from './pem-source.ts';

/** Its keys are those of the setting with `_key` behind its name. */
export type CertificateSetting = 'ssl_cert' | 'admin_ssl_cert';

export type StaticCertificates =
  | { readonly kind: 'read'; readonly certificates: readonly StaticCertificate[] }
  | { readonly kind: 'wrong'; readonly problems: readonly StaticCertificateProblem[] };

interface StaticCertificateProblem {
  readonly name: CertificateSetting | `${CertificateSetting}_key`;
  readonly message: string;
  readonly expected: string;
}

/** One of each key type, which is what a client can choose between. */
const certificatesMax = 2;

/** @param minRsaBits shorter RSA keys are refused: the TLS library would not serve them */
export function readStaticCertificates(
  setting: CertificateSetting,
  certs: readonly PemSource[],
  keys: readonly PemSource[],
  minRsaBits: number,
): StaticCertificates {
  const keySetting = `${setting}_key` as const;
  const problems = [...checkCounts(setting, certs.length, keys.length)];
  const chains = certs.map(({ pem, shown }) => {
    const chain = readChain(pem);
    const expected = 'the path of a PEM file, PEM text, or base64 of PEM text';
    if (chain === undefined) report(setting, `${setting}: failed loading certificate from ${shown}`, expected);
    return chain;
  });
  const privateKeys = keys.map(({ pem, shown }) => {
    const key = readKey(pem);
    const expected = 'a PEM key without a passphrase: its path, text, or base64';
    if (key === undefined) report(keySetting, `${keySetting}: failed loading key from ${shown}`, expected);
    return key;
  });
  if (problems.length > 0) return { kind: 'wrong', problems };

  chains.forEach((chain, index) => {
    const key = privateKeys[index];
    if (key !== undefined && chain?.some((certificate) => certificate.checkPrivateKey(key))) return;
    const pair = `the key ${keys[index]?.shown ?? ''} does not belong to the certificate ${certs[index]?.shown ?? ''}`;
    report(keySetting, `${keySetting}: ${pair}`, 'the keys in the order of the certificates');
  });
  for (const [index, key] of privateKeys.entries()) {
    const bits = key?.asymmetricKeyType === 'rsa' ? (key.asymmetricKeyDetails?.modulusLength ?? 0) : Infinity;
    if (bits >= minRsaBits) continue;
    const short = `the key ${keys[index]?.shown ?? ''} is RSA ${bits}, shorter than ssl_min_rsa_bits`;
    report(keySetting, `${keySetting}: ${short}`, `RSA of ${minRsaBits} bits or more, or EC`);
  }
  if (new Set(privateKeys.map((key) => key?.asymmetricKeyType)).size < privateKeys.length) {
    report(setting, `${setting}: two certificates with one type of key, of which one would never be served`, oneOrPair);
  }
  if (problems.length > 0) return { kind: 'wrong', problems };
  const certificates = certs.map(({ pem = '' }, index) => ({
    chain: leafFirst(pem, chains[index] ?? [], privateKeys[index]),
    key: keys[index]?.pem ?? '',
  }));
  return { kind: 'read', certificates };

  function report(name: StaticCertificateProblem['name'], message: string, expected: string): void {
    problems.push({ name, message, expected });
  }
}

const oneOrPair = 'one certificate, or one with an RSA and one with an EC key';

function checkCounts(setting: CertificateSetting, certs: number, keys: number): readonly StaticCertificateProblem[] {
  const keySetting = `${setting}_key` as const;
  const expected = `as many keys in ${keySetting} as certificates in ${setting}, in the same order`;
  if (certs > 0 && keys === 0) return [{ name: keySetting, message: `${keySetting} must be specified`, expected }];
  if (keys > 0 && certs === 0) return [{ name: setting, message: `${setting} must be specified`, expected }];
  if (certs !== keys) {
    const message = `${setting} was specified ${certs} times while ${keySetting} was specified ${keys} times`;
    return [{ name: keySetting, message, expected }];
  }
  if (certs <= certificatesMax) return [];
  const message = `${setting} was specified ${certs} times, and ${certificatesMax} is the most`;
  return [{ name: setting, message, expected: oneOrPair }];
}

/** TLS wants the key's own certificate first, then each issuer (RFC 8446 section 4.4.2); files come in every order. */
function leafFirst(pem: string, chain: readonly X509Certificate[], key: KeyObject | undefined): string {
  const leaf = chain.find((certificate) => key !== undefined && certificate.checkPrivateKey(key));
  if (leaf === undefined || leaf === chain[0]) return pem;
  const rest = new Set(chain);
  const ordered: X509Certificate[] = [];
  for (let next: X509Certificate | undefined = leaf; next !== undefined;) {
    const current: X509Certificate = next;
    ordered.push(current);
    rest.delete(current);
    next = [...rest].find((certificate) => current.checkIssued(certificate));
  }
  return [...ordered, ...rest].map((certificate) => certificate.toString()).join('');
}

function readChain(pem: string | undefined): readonly X509Certificate[] | undefined {
  const blocks = pem?.match(/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]+-----END[^-]+-----/g) ?? [];
  try {
    return blocks.length === 0 ? undefined : blocks.map((block) => new X509Certificate(block));
  } catch {
    return undefined;
  }
}

function readKey(pem: string | undefined): KeyObject | undefined {
  try {
    return pem === undefined ? undefined : createPrivateKey(pem);
  } catch {
    return undefined;
  }
}
