// The last door before an error answer leaves: what looks like PEM or a long stretch of base64 is withheld. A key pasted in
// the wrong place (as a field's name, a host, a URL) would otherwise come back in the message that refuses it, and from
// there get into somebody's log.

const withheld = '(withheld: it looks like a certificate or key)';
/**
 * What names PEM without being any, as hints do (`begins with -----BEGIN CERTIFICATE-----.`), goes through: no PEM has a full
 * stop there. No host name, id, fingerprint or ordinary name looks like the others: long without a dot or blank; base64 of
 * either alphabet, a line of it too, with letters of both cases and digits; octets in hex with something between.
 */
const material = new RegExp(
  [
    String.raw`-----BEGIN(?! [A-Z ]+-----\.| to -----END)[\s\S]*`,
    '[A-Za-z0-9+/=_-]{80,}',
    '(?<![A-Za-z0-9+/=_-])(?=[a-z0-9+/=_-]*[A-Z])(?=[A-Z0-9+/=_-]*[a-z])(?=[A-Za-z+/=_-]*[0-9])[A-Za-z0-9+/=_-]{40,}',
    String.raw`(?:[0-9A-Fa-f]{2}[:\s]{1,8}){24,}`,
  ].join('|'),
  'g',
);
/** What the rest of a longer text may be: in a form that was not encoded, each `+` of base64 is a blank. */
const piece = /[A-Za-z0-9+/=_-]{24,}/g;

/** A copy in which texts and field names hold no such thing. */
export function withholdMaterial<T>(value: T): T {
  return copy(value) as T;
}

function copy(value: unknown): unknown {
  if (typeof value === 'string') return withhold(value);
  if (Array.isArray(value)) return value.map(copy);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [withhold(name), copy(item)]));
}

function withhold(text: string): string {
  return text.replaceAll(material, withheld).replaceAll(piece, (found) => (looksRandom(found) ? withheld : found));
}

/** Lower case, upper case and digits take turns, where names have words: in base64 two neighbours in three differ. */
function looksRandom(text: string): boolean {
  const kinds = text
    .replaceAll(/[-_]/g, '')
    .replaceAll(/[a-z]/g, 'a')
    .replaceAll(/[A-Z]/g, 'A')
    .replaceAll(/[0-9]/g, '0');
  if (!/a/.test(kinds) || !/A/.test(kinds)) return false;
  const turns = kinds.match(/(.)(?!\1|$)/g)?.length ?? 0;
  return turns >= kinds.length * (kinds.includes('0') ? 0.36 : 0.42);
}
