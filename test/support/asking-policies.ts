// A catalog in which one host asks clients for certificates of one authority.
import type { PolicyCatalog } from '../../src/catalog/contract.ts';
import { noPolicies } from './no-policies.ts';
import { fingerprintOf } from './tls-acceptor.ts';

/** @param certificate PEM */
export function askingPolicies(host: string, certificate: string): PolicyCatalog {
  const clientCertificate = { mode: 'optional', authorities: ['authority'], depth: 2 } as const;
  return {
    ...noPolicies,
    hasPolicies: true,
    findHostPolicy: (names) =>
      names[0] === host ? { name: host, clientCertificate, minVersion: undefined, ciphers: undefined } : undefined,
    findAuthority: (id) => ({
      id,
      version: '1',
      fingerprint: fingerprintOf(certificate),
      certificate,
      hasRevocationList: false,
    }),
  };
}
