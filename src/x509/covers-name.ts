// Which host names a certificate is good for (RFC 9525 section 6.3, as OpenSSL applies it). Choosing among certificates
// is catalog's.

/**
 * Is one of the certificate's names that name, or a wildcard over it? A wildcard is the whole leftmost label, replaces
 * exactly one label, and has at least two labels after it; an underscore anywhere in the name rules it out. A name that
 * is itself a wildcard is covered by the same wildcard only.
 */
export function coversName(dnsNames: readonly string[], name: string): boolean {
  const wanted = normal(name);
  const byWildcard = wildcardable.test(wanted) ? `*${wanted.slice(wanted.indexOf('.'))}` : undefined;
  return dnsNames.some((candidate) => {
    const offered = normal(candidate);
    return offered === wanted || offered === byWildcard;
  });
}

/** A label of letters, digits and hyphens, then at least two that neither begin nor end with a hyphen. */
const wildcardable = /^[a-z0-9-]+(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?){2,}$/;

function normal(name: string): string {
  const lower = name.toLowerCase();
  return lower.endsWith('.') ? lower.slice(0, -1) : lower;
}
