// The last door before an error answer leaves: what looks like PEM or a long stretch of base64 is withheld. A key pasted in
// the wrong place (as a field's name, a host, a URL) would otherwise come back in the message that refuses it, and from
// there get into somebody's log.

const withheld = '(withheld: it looks like a certificate or key)';
/**
 * What names PEM without being any, as hints do (`begins with -----BEGIN CERTIFICATE-----.`), goes through: no PEM has a full
 * stop there. No host name, id, fingerprint or ordinary name is that long without a dot, blank or dash.
 */
const material = /-----BEGIN(?! [A-Z ]+-----\.| to -----END)[\s\S]*|[A-Za-z0-9+/=_]{80,}/g;

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
