// OpenSSL's cipher strings: names with colons between them, as a setting or a policy of a host has them.
import { createSecureContext } from 'node:tls';

export const tls13Ciphers = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
] as const;

/** `ciphers` with the TLS 1.3 suites when it names none: without one, TLS 1.3 would be switched off. */
export function withTls13(ciphers: string): string {
  return /(^|:)TLS_/.test(ciphers) ? ciphers : [...tls13Ciphers, ciphers].join(':');
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
