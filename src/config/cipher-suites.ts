// The lists of ciphers behind `ssl_cipher_suite`, after Mozilla's recommendations for servers. TLS 1.2 ciphers with
// finite-field Diffie-Hellman are left out: they need parameters, and every client that has them has ECDHE too.
import { tls13Ciphers } from '../lib/cipher-string.ts';

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
  modern: tls13Ciphers,
  intermediate: [...tls13Ciphers, ...forwardSecret],
  old: [...tls13Ciphers, ...forwardSecret, ...legacy],
} as const;

/** An OpenSSL cipher string, TLS 1.3 suites first. */
export function cipherString(suite: keyof typeof suites): string {
  return suites[suite].join(':');
}
