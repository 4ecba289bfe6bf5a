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

/** A copy in which texts and field names hold no such thing. */
export function withholdMaterial<T>(value: T): T {
  return copy(value) as T;
}

function copy(value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll(material, withheld);
  if (Array.isArray(value)) return value.map(copy);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name.replaceAll(material, withheld), copy(item)]),
  );
}
