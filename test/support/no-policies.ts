// A catalog in which no host and no API demands anything of clients.
import type { PolicyCatalog } from '../../src/catalog/contract.ts';

export const noPolicies: PolicyCatalog = {
  findHostPolicy: () => undefined,
  findAuthority: () => undefined,
  findAuthoritiesBySubject: () => [],
  findRevocationList: () => undefined,
  clientCertificateRules: () => [],
  policyEpoch: 0,
  hasPolicies: false,
};
