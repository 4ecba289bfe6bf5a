// The lists of ciphers behind `ssl_cipher_suite`, after Mozilla's recommendations for servers. TLS 1.2 ciphers with
// finite-field Diffie-Hellman are left out: they need parameters, and every client that has them has ECDHE too.
import { createSecureContext } from 'node:tls';

const tls13 = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'];
const forwardSecret = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
];
const legacy = [
  'ECDHE-ECDSA-AES128-SHA256',
  'ECDHE-RSA-AES128-SHA256',
  'ECDHE-ECDSA-AES128-SHA',
  'ECDHE-RSA-AES128-SHA',
  'ECDHE-ECDSA-AES256-SHA384',
  'ECDHE-RSA-AES256-SHA384',
  'ECDHE-ECDSA-AES256-SHA',
  'ECDHE-RSA-AES256-SHA',
  'AES128-GCM-SHA256',
  'AES256-GCM-SHA384',
  'AES128-SHA256',
  'AES256-SHA256',
  'AES128-SHA',
  'AES256-SHA',
];

const suites = {
  modern: tls13,
  intermediate: [...tls13, ...forwardSecret],
  old: [...tls13, ...forwardSecret, ...legacy],
} as const;

/** An OpenSSL cipher string, TLS 1.3 suites first. */
export function cipherString(suite: keyof typeof suites): string {
  return suites[suite].join(':');
}

/** `ciphers` with the TLS 1.3 suites when it names none: without one, TLS 1.3 would be switched off. */
export function withTls13(ciphers: string): string {
  return /(^|:)TLS_/.test(ciphers) ? ciphers : [...tls13, ciphers].join(':');
}

/** Whether OpenSSL finds a cipher in this string. */
export function isCipherString(ciphers: string): boolean {
  try {
    createSecureContext({ ciphers });
    return true;
  } catch {
    return false;
  }
}
