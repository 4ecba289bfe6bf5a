// Keys of session tickets, derived and never stored: the same on every worker and node that holds the cluster's secret,
// different for every certificate, policy and stretch of time. So a ticket resumes wherever it returns to, and nowhere
// else, until the keys rotate.
import { hkdfSync } from 'node:crypto';

/** All that a resumed session would carry over. Where any of it differs, a ticket is worth nothing. */
export interface TicketPolicy {
  readonly certificateId: string;
  /** SHA-256 of the leaves, hex, in the record's order. */
  readonly fingerprints: readonly string[];
  readonly minVersion: string;
  readonly maxVersion: string;
  readonly ciphers: string;
  /** Of what the name demands beside (policies.ts). */
  readonly policyKey?: string | undefined;
}

export interface PolicyTickets {
  /**
   * 32 characters, OpenSSL's limit; sessions of another context are refused (RFC 5077 section 5.9 warns of mixing). The
   * same at all times.
   */
  readonly sessionIdContext: string;
  /** @param now milliseconds of the wall clock */
  keysAt(now: number): TicketKeys;
}

/** In use while `from` <= now < `until`, milliseconds of the wall clock. */
export interface TicketKeys {
  /** The 48 bytes that node:tls takes as `ticketKeys`: name, HMAC key, AES key. */
  readonly keys: Buffer;
  readonly from: number;
  readonly until: number;
}

const ticketSecretBytes = 32;

/**
 * HKDF with SHA-256 (RFC 5869): the policy as info gives its own secret, and from that the epoch as info gives the keys.
 * Each policy rotates at a moment of its own, so that not all hosts rotate at once.
 *
 * @param rotationMs how long keys are in use
 * @throws TypeError when `secret` is not 32 bytes
 */
export function deriveTickets(secret: Uint8Array, policy: TicketPolicy, rotationMs: number): PolicyTickets {
  if (secret.byteLength !== ticketSecretBytes) throw new TypeError(`a ticket secret has ${ticketSecretBytes} bytes`);
  const { certificateId, fingerprints, minVersion, maxVersion, ciphers, policyKey } = policy;
  // JSON quotes its strings, so two policies never run together to the same text.
  const said = ['ticket 2', certificateId, fingerprints, minVersion, maxVersion, ciphers];
  const info = JSON.stringify(policyKey === undefined ? said : [...said, policyKey]);
  const derived = Buffer.from(hkdfSync('sha256', secret, '', info, 32 + 16 + 6));
  const ownSecret = derived.subarray(0, 32);
  const offset = derived.readUIntBE(48, 6) % rotationMs;

  return {
    sessionIdContext: derived.toString('hex', 32, 48),
    keysAt(now) {
      const epoch = Math.floor((now + offset) / rotationMs);
      // With the rotation in it: after a change of the setting no number of an epoch brings old keys back.
      const keys = Buffer.from(hkdfSync('sha256', ownSecret, '', JSON.stringify(['epoch', rotationMs, epoch]), 48));
      const from = epoch * rotationMs - offset;
      return { keys, from, until: from + rotationMs };
    },
  };
}
