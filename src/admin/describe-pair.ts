// The facts of a certificate as a report shows them. Never the key.
import type { KeyPair } from '../model/entities.ts';

/** Field names as in the dialects; times as ISO 8601. */
export function describePair(pair: KeyPair): object {
  return {
    subject: pair.subject,
    issuer: pair.issuer,
    serial_number: pair.serialNumber,
    dns_names: pair.dnsNames,
    fingerprint: pair.fingerprint,
    key_type: pair.keyType,
    key_bits: pair.keyBits,
    not_before: new Date(pair.notBefore).toISOString(),
    not_after: new Date(pair.notAfter).toISOString(),
  };
}
