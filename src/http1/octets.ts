// Which octets may stand where in an HTTP/1.x message, as tables of 256 entries. One lookup validates one octet.

/**
 * Token characters (RFC 9110 section 5.6.2) in lower case, those that are no letters and digits as `-`; 0 for every other
 * octet. Names that differ only there fall together, because many servers behind a gateway cannot tell them apart: CGI
 * makes `_` of `-`, PHP of `.`, some of all of them.
 */
export const foldedToken: Uint8Array = table((octet) => {
  if (octet >= 0x41 && octet <= 0x5a) return octet + 0x20;
  if (!isTokenOctet(octet)) return 0;
  return /[a-z0-9]/.test(String.fromCharCode(octet)) ? octet : 0x2d;
});

/** 1 for what a field value may hold (RFC 9110 section 5.5): visible characters, obs-text, space and tab. */
export const fieldValue: Uint8Array = table((octet) => Number(octet === 0x09 || (octet >= 0x20 && octet !== 0x7f)));

/**
 * 1 for what a request target may hold: the characters of RFC 3986, and those that browsers send as they are
 * (`[ ] ^ { | } \` and the grave accent). Never a space, a control character, `"`, `<`, `>`, `#` or anything beyond ASCII.
 */
export const requestTarget: Uint8Array = table((octet) =>
  Number(octet > 0x20 && octet < 0x7f && octet !== 0x22 && octet !== 0x23 && octet !== 0x3c && octet !== 0x3e),
);

/** The value of a hexadecimal digit, 255 for every other octet. */
export const hexValue: Uint8Array = table((octet) => {
  if (octet >= 0x30 && octet <= 0x39) return octet - 0x30;
  const lower = octet | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : 255;
});

export function isToken(text: string): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text);
}

function isTokenOctet(octet: number): boolean {
  return octet < 0x80 && isToken(String.fromCharCode(octet));
}

function table(entry: (octet: number) => number): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, octet) => entry(octet));
}
