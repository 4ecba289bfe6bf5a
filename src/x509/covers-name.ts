// Which host names a certificate is good for (RFC 9525 section 6.3, as OpenSSL applies it). Choosing among certificates
// is catalog's.

/**
 * Is one of the certificate's names that name, or a wildcard over it? A wildcard is the whole leftmost label, replaces
 * exactly one label of letters, digits and hyphens, and has at least two labels after it. A name that is itself a
 * wildcard is covered by the same wildcard only.
 */
export function coversName(dnsNames: readonly string[], name: string): boolean {
  const wanted = normal(name);
  const dot = wanted.indexOf('.');
  const label = wanted.slice(0, Math.max(dot, 0));
  const rest = wanted.slice(dot + 1);
  const byWildcard = /^[a-z0-9-]+$/.test(label) && rest.includes('.') ? `*.${rest}` : undefined;
  return dnsNames.some((candidate) => {
    const offered = normal(candidate);
    return offered === wanted || offered === byWildcard;
  });
}

function normal(name: string): string {
  const lower = name.toLowerCase();
  return lower.endsWith('.') ? lower.slice(0, -1) : lower;
}
