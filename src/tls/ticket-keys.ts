// Keys of session tickets, derived and never stored: the same on every worker and node that holds the cluster's secret,
// different for every certificate and policy. So a ticket resumes wherever it returns to, and nowhere else.
import { hkdfSync } from 'node:crypto';

/** All that a resumed session would carry over. Where any of it differs, a ticket is worth nothing. */
export interface TicketPolicy {
  readonly certificateId: string;
  /** SHA-256 of the leaves, hex, in the record's order. */
  readonly fingerprints: readonly string[];
  readonly minVersion: string;
  readonly maxVersion: string;
  readonly ciphers: string;
}

export interface TicketKeys {
  /** The 48 bytes that node:tls takes as `ticketKeys`: name, HMAC key, AES key. */
  readonly keys: Buffer;
  /** 32 characters, OpenSSL's limit; sessions of another context are refused (RFC 5077 section 5.9 warns of mixing). */
  readonly sessionIdContext: string;
}

const ticketSecretBytes = 32;

/**
 * HKDF with SHA-256 (RFC 5869), the policy as its info.
 *
 * @throws TypeError when `secret` is not 32 bytes
 */
export function deriveTicketKeys(secret: Uint8Array, policy: TicketPolicy): TicketKeys {
  if (secret.byteLength !== ticketSecretBytes) throw new TypeError(`a ticket secret has ${ticketSecretBytes} bytes`);
  const { certificateId, fingerprints, minVersion, maxVersion, ciphers } = policy;
  // JSON quotes its strings, so two policies never run together to the same text.
  const info = JSON.stringify(['ticket 1', certificateId, fingerprints, minVersion, maxVersion, ciphers]);
  const derived = Buffer.from(hkdfSync('sha256', secret, '', info, 48 + 16));
  return { keys: derived.subarray(0, 48), sessionIdContext: derived.subarray(48).toString('hex') };
}
