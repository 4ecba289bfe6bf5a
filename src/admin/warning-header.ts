// The Warning header field (RFC 7234 section 5.5, code 299: miscellaneous persistent warning), which old clients show.

const textMaxLength = 500;

/** Text outside printable ASCII becomes `?`: a header field cannot carry it. */
export function warningHeader(text: string): string {
  const safe = text
    .slice(0, textMaxLength)
    .replaceAll(/[^\x20-\x7e]/g, '?')
    .replaceAll(/["\\]/g, '\\$&');
  return `299 portunus "${safe}"`;
}
