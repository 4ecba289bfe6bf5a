// PKCS#7 (RFC 2315 section 9): the certificates of a bundle. Who signed what with it is not looked at; a bundle is signed by nobody.
import { withDefiniteLengths } from './definite-lengths.ts';
import { childrenOf, objectIdentifierOf, readElement, tags } from './read-der.ts';

const signedData = '1.2.840.113549.1.7.2';

/** DER of each, in no order that means anything. Undefined: it is no such bundle. */
export function certificatesOfPkcs7(bytes: Uint8Array): readonly Uint8Array[] | undefined {
  const [type, explicit] = childrenOf(readElement(withDefiniteLengths(bytes)?.der ?? bytes));
  if (objectIdentifierOf(type) !== signedData) return undefined;
  const fields = childrenOf(childrenOf(explicit, tags.context0)[0]);
  const certificates = childrenOf(
    fields.find(({ tag }) => tag === tags.context0),
    tags.context0,
  );
  return certificates.filter(({ tag }) => tag === tags.sequence).map(({ whole }) => whole);
}
