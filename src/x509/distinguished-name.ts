// A distinguished name as text (RFC 4514), in ASCII, as `openssl x509 -nameopt RFC2253` writes it: the last part first, and
// nothing in it that could be taken for another part.
import { childrenOf, objectIdentifierOf, tags, type Element } from './read-der.ts';

/** `CN=Alice,OU=Keys+L=Bern,O=Example\, Inc.` Characters beyond ASCII are their octets in UTF-8: `\C3\A9`. */
export function distinguishedNameText(name: Element | undefined): string {
  return childrenOf(name)
    .map((part) => childrenOf(part, tags.set).map(attributeText).toReversed().join('+'))
    .toReversed()
    .join(',');
}

/** As OpenSSL calls them. Others go by their numbers. */
const shortNames: Readonly<Record<string, string>> = {
  '2.5.4.3': 'CN',
  '2.5.4.4': 'SN',
  '2.5.4.5': 'serialNumber',
  '2.5.4.6': 'C',
  '2.5.4.7': 'L',
  '2.5.4.8': 'ST',
  '2.5.4.9': 'street',
  '2.5.4.10': 'O',
  '2.5.4.11': 'OU',
  '2.5.4.12': 'title',
  '2.5.4.13': 'description',
  '2.5.4.15': 'businessCategory',
  '2.5.4.17': 'postalCode',
  '2.5.4.41': 'name',
  '2.5.4.42': 'GN',
  '2.5.4.43': 'initials',
  '2.5.4.46': 'dnQualifier',
  '2.5.4.65': 'pseudonym',
  '2.5.4.97': 'organizationIdentifier',
  '0.9.2342.19200300.100.1.1': 'UID',
  '0.9.2342.19200300.100.1.25': 'DC',
  '1.2.840.113549.1.9.1': 'emailAddress',
  '1.3.6.1.4.1.311.60.2.1.1': 'jurisdictionL',
  '1.3.6.1.4.1.311.60.2.1.2': 'jurisdictionST',
  '1.3.6.1.4.1.311.60.2.1.3': 'jurisdictionC',
};

function attributeText(attribute: Element): string {
  const [type, value] = childrenOf(attribute);
  const oid = objectIdentifierOf(type);
  const shortName = shortNames[oid];
  const text = shortName === undefined || value === undefined ? undefined : textOf(value);
  // RFC 4514 section 2.4: what is no text, or of a type without a name here, is its DER.
  const written = text === undefined ? `#${hex(value?.whole ?? new Uint8Array())}` : escaped(text);
  return `${shortName ?? oid}=${written}`;
}

/** X.680 section 41; TeletexString is Latin-1 in practice. */
const encodings: Readonly<Record<number, (bytes: Buffer) => string>> = {
  0x0c: (bytes) => bytes.toString('utf8'),
  0x12: (bytes) => bytes.toString('latin1'),
  0x13: (bytes) => bytes.toString('latin1'),
  0x14: (bytes) => bytes.toString('latin1'),
  0x16: (bytes) => bytes.toString('latin1'),
  0x1a: (bytes) => bytes.toString('latin1'),
  0x1e: (bytes) => Buffer.from(bytes).swap16().toString('utf16le'),
};

function textOf({ tag, content }: Element): string | undefined {
  if (tag === 0x1e && content.length % 2 !== 0) return undefined;
  return encodings[tag]?.(Buffer.from(content));
}

const special = /[,+"\\<>;]/;

/** RFC 4514 section 2.4. */
function escaped(text: string): string {
  const octets = Buffer.from(text, 'utf8');
  let out = '';
  for (const [index, octet] of octets.entries()) {
    const character = String.fromCharCode(octet);
    if (octet < 0x20 || octet > 0x7e) out += `\\${hex(Buffer.of(octet))}`;
    else if (special.test(character) || isAtEdge(character, index, octets.length)) out += `\\${character}`;
    else out += character;
  }
  return out;
}

function isAtEdge(character: string, index: number, length: number): boolean {
  return (character === ' ' && (index === 0 || index === length - 1)) || (character === '#' && index === 0);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex').toUpperCase();
}
