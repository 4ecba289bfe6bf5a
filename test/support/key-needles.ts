// What to search for where a private key must not be, and where.
import { createPrivateKey } from 'node:crypto';
import { readdirSync } from 'node:fs';
import path from 'node:path';

type Needle = readonly [form: string, bytes: Buffer | string];

/** What of a key would betray it: its bytes, and any stretch of its base64, whatever the line length. */
export function needlesOf(pem: string): readonly Needle[] {
  const key = createPrivateKey(pem);
  const der = key.export({ type: 'pkcs8', format: 'der' });
  const { d = '', p, q } = key.export({ format: 'jwk' });
  const lines = pem.split('\n').filter((line) => line.length === 64);
  // The first line is the algorithm's, alike in all keys; an RSA key then has its modulus, which is public.
  const first = lines.length > 10 ? 7 : 1;
  return [
    ['the whole DER', der],
    ['base64 of the whole DER', der.toString('base64')],
    ['the whole PEM', pem.trim()],
    // Of an RSA key one prime is enough.
    ...[d, p, q].filter((part) => part !== undefined).flatMap(formsOf),
    ['base64 of the DER', der.subarray(-96, -48).toString('base64')],
    ...lines.slice(first).map((line, at): Needle => [`PEM line ${at + first}`, line.slice(8, 40)]),
  ];
}

/** Of the secret number that makes a key. */
function formsOf(base64url: string): readonly Needle[] {
  const secret = Buffer.from(base64url, 'base64url');
  return [
    ['bytes', secret],
    ['base64 of its bytes', secret.subarray(0, 30).toString('base64')],
    ['hex of its bytes', secret.toString('hex')],
    ['base64url of its bytes', base64url.slice(0, 40)],
  ];
}

export function filesUnder(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8', withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
}
