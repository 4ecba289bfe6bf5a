// Private keys on the way in: PKCS#1, PKCS#8 and SEC1, plain or encrypted, to a PKCS#8 key that has proved to work.
// No message here holds any part of a key or passphrase.
import { createPrivateKey, createPublicKey, sign, verify, type KeyObject, type PrivateKeyInput } from 'node:crypto';
import { privateKeyForm } from './classify-der.ts';
import { at, type MaterialField } from './describe-misfit.ts';
import { finding, type Finding } from './findings.ts';
import { judgeKeyDerivation } from './key-derivation.ts';
import type { KeyBlob } from './material.ts';
import { encodePem } from './pem.ts';
import { publicKeyFacts, strengthOf, type PublicKeyFacts } from './public-key.ts';

/** Bytes of a passphrase; OpenSSL takes no more. */
export const passphraseMaxBytes = 1024;

export type PrivateKeyResult =
  | {
      readonly kind: 'key';
      /** PKCS#8 PEM, plain. */
      readonly pem: string;
      readonly facts: PublicKeyFacts;
      readonly wasEncrypted: boolean;
    }
  | { readonly kind: 'refused'; readonly problem: Finding };

/** Never throws. Strength is not judged here: a weak key is a readable one. */
export function readPrivateKey(blob: KeyBlob, passphrase: string | undefined, field: MaterialField): PrivateKeyResult {
  const opened = openKey(blob, passphrase, field);
  if (opened.kind === 'refused') return opened;
  try {
    const facts = publicKeyFacts(opened.key);
    if (strengthOf(facts, 0).kind !== 'unsupported' && !works(opened.key)) return damaged(blob, field);
    const pem = opened.key.export({ type: 'pkcs8', format: 'pem' }).toString();
    return { kind: 'key', pem, facts, wasEncrypted: blob.kind !== 'plain' || blob.unlocked === true };
  } catch {
    return damaged(blob, field);
  }
}

/** The part of what may be done for one input that it takes to try a passphrase on a key. */
export function workOf(blob: KeyBlob, passphrase: string | undefined): number {
  if (blob.kind !== 'encrypted-pkcs8' || passphrase === undefined || passphrase === '') return 0;
  const derivation = judgeKeyDerivation(blob.der);
  return derivation.kind === 'acceptable' ? derivation.work * spellingsOf(passphrase).size : 0;
}

type Opened =
  | { readonly kind: 'opened'; readonly key: KeyObject }
  | { readonly kind: 'refused'; readonly problem: Finding };

function openKey(blob: KeyBlob, passphrase: string | undefined, field: MaterialField): Opened {
  if (blob.kind === 'plain') return openPlain(blob.der, blob, field);
  const obstacle = blob.kind === 'encrypted-legacy' ? legacyObstacle(blob.block.headers) : pkcs8Obstacle(blob.der);
  if (obstacle !== undefined) {
    const hint =
      'Encrypt it anew: openssl pkcs8 -topk8 -v2 aes-256-cbc -in key.pem -out new.pem (with -provider legacy if needed).';
    return refused(
      'KEY_UNSUPPORTED',
      field,
      `The encrypted private key${at(blob.where)} cannot be opened: ${obstacle}.`,
      hint,
    );
  }
  if (passphrase === undefined || passphrase === '') {
    const hint =
      'Send its passphrase in the field passphrase, or take it off: openssl pkey -in key.pem -out plain.pem.';
    return refused(
      'KEY_ENCRYPTED',
      field,
      `The private key${at(blob.where)} is encrypted and no passphrase was given.`,
      hint,
    );
  }
  return openEncrypted(blob, passphrase);
}

function openPlain(der: Uint8Array, blob: KeyBlob, field: MaterialField): Opened {
  const form = privateKeyForm(der);
  if (form === 'dsa') {
    return refused(
      'KEY_UNSUPPORTED',
      field,
      `The private key${at(blob.where)} is DSA, which TLS clients do not accept.`,
      newKeyHint,
    );
  }
  const key = form === undefined ? undefined : tryOpen({ key: Buffer.from(der), format: 'der', type: form });
  return key === undefined ? damaged(blob, field) : { kind: 'opened', key };
}

function openEncrypted(blob: KeyBlob, passphrase: string): Opened {
  const tooLong = Buffer.byteLength(passphrase) > passphraseMaxBytes;
  const input: PrivateKeyInput =
    blob.kind === 'encrypted-legacy'
      ? { key: encodePem(blob.block.label, blob.block.bytes, blob.block.headers), format: 'pem' }
      : { key: Buffer.from(blob.der), format: 'der', type: 'pkcs8' };
  let key: KeyObject | undefined;
  for (const spelling of tooLong ? [] : spellingsOf(passphrase)) key ??= tryOpen({ ...input, passphrase: spelling });
  if (key !== undefined) return { kind: 'opened', key };
  // A wrong passphrase and damaged cipher text look alike.
  const message = tooLong
    ? `The passphrase is longer than ${passphraseMaxBytes} bytes.`
    : `The passphrase does not open the private key${at(blob.where)}, or the key is damaged.`;
  return refused('KEY_PASSPHRASE_WRONG', 'passphrase', message, 'Try it with: openssl pkey -in key.pem -noout.');
}

/** One that was read from a file comes with the file's last line break, which OpenSSL's own tools leave out. */
function spellingsOf(passphrase: string): ReadonlySet<string> {
  return new Set([passphrase, passphrase.replace(/\r?\n$/, '')]);
}

/** The name of the key's kind beside what was expected of it. */
export const newKeyHint =
  'Make a new key and have it certified: openssl ecparam -name prime256v1 -genkey -noout -out key.pem.';

function legacyObstacle(headers: readonly string[]): string | undefined {
  const cipher = /^DEK-Info:\s*([A-Z0-9-]+),/i.exec(headers.find((header) => /^DEK-Info:/i.test(header)) ?? '')?.[1];
  if (cipher === undefined) return 'its DEK-Info header is missing';
  return /^(AES-(128|192|256)-CBC|DES-EDE3-CBC)$/i.test(cipher)
    ? undefined
    : 'its cipher is one that is no longer read';
}

function pkcs8Obstacle(der: Uint8Array): string | undefined {
  const derivation = judgeKeyDerivation(der);
  if (derivation.kind === 'acceptable') return undefined;
  return derivation.kind === 'too-costly' ? derivation.message : 'its cipher is one that is no longer read';
}

function tryOpen(input: PrivateKeyInput): KeyObject | undefined {
  try {
    return createPrivateKey(input);
  } catch {
    // OpenSSL's reasons ("DECODER routines::unsupported") help nobody.
    return undefined;
  }
}

/** A key may be well-formed and not fit its own public half; only using it tells. */
function works(key: KeyObject): boolean {
  const hash = key.asymmetricKeyType === 'rsa' || key.asymmetricKeyType === 'ec' ? 'sha256' : null;
  const message = Buffer.from('a key that signs this and is believed works');
  return verify(hash, message, createPublicKey(key), sign(hash, message, key));
}

function damaged(blob: KeyBlob, field: MaterialField): { readonly kind: 'refused'; readonly problem: Finding } {
  const message = `The private key${at(blob.where)} cannot be read: it is damaged or not a private key.`;
  return refused('KEY_UNREADABLE', field, message, 'Check the file with: openssl pkey -in key.pem -check -noout.');
}

function refused(code: Finding['code'], field: Finding['field'], message: string, hint: string) {
  return { kind: 'refused', problem: finding(code, field, message, hint) } as const;
}
