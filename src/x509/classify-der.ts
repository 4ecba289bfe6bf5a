// What a DER blob is, by its outline alone: the order of its elements' tags. Whether it is valid is found out later.
import { integerOf, objectIdentifierOf, readElement, readElements, tags, type Element } from './read-der.ts';

export type DerKind =
  | 'certificate'
  | 'request'
  | 'private-key'
  | 'encrypted-private-key'
  | 'public-key'
  | 'pkcs12'
  | 'pkcs7'
  | 'unknown';

export type PrivateKeyForm = 'pkcs1' | 'pkcs8' | 'sec1' | 'dsa';

export function classifyDer(bytes: Uint8Array): DerKind {
  const outer = readElement(bytes);
  const items = outer?.tag === tags.sequence ? readElements(outer.content, 16) : undefined;
  const first = items?.[0];
  if (items === undefined || first === undefined) return 'unknown';
  const outline = outlineOf(items);
  if (outline === '30 30 03') return signedKind(first);
  if (outline === '30 03') return 'public-key';
  if (outline === '30 04') return 'encrypted-private-key';
  if (outline === '02 02') return 'public-key';
  if (outline.startsWith('06 a0') && objectIdentifierOf(first).startsWith('1.2.840.113549.1.7.')) return 'pkcs7';
  if (outline.startsWith('02 30') && integerOf(first) === 3) return 'pkcs12';
  return privateKeyForm(bytes) === undefined ? 'unknown' : 'private-key';
}

/** PKCS#8 (RFC 5958), PKCS#1 (RFC 8017 appendix A), SEC1 (RFC 5915) or OpenSSL's own for DSA; undefined otherwise. */
export function privateKeyForm(bytes: Uint8Array): PrivateKeyForm | undefined {
  const outer = readElement(bytes);
  const items = outer?.tag === tags.sequence ? readElements(outer.content, 16) : undefined;
  if (items === undefined) return undefined;
  const outline = outlineOf(items);
  if (outline.startsWith('02 30 04')) return 'pkcs8';
  if (outline.startsWith('02 04')) return 'sec1';
  if (/^02( 02){5}$/.test(outline)) return 'dsa';
  return /^02( 02){8}/.test(outline) ? 'pkcs1' : undefined;
}

/** Certificate (RFC 5280 section 4.1) and request (RFC 2986 section 4) differ in what is signed. */
function signedKind(signed: Element): DerKind {
  const items = readElements(signed.content, 16);
  const outline = items === undefined ? '' : outlineOf(items);
  if (outline.startsWith('a0 02 30 30 30 30') || outline.startsWith('02 30 30 30 30 30')) return 'certificate';
  return outline.startsWith('02 30 30') ? 'request' : 'unknown';
}

function outlineOf(items: readonly Element[]): string {
  return items.map((item) => item.tag.toString(16).padStart(2, '0')).join(' ');
}
