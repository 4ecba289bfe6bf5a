// Names that a stored certificate will serve and does not cover: for writes that change names and not the certificate.
// What arrives together with a certificate is intake's to judge.
import type { Certificate } from '../model/entities.ts';
import { parseHostName } from '../model/host-name.ts';
import { coversName } from '../x509/covers-name.ts';
import { finding } from '../x509/findings.ts';
import { noNotices, type Notices } from './write.ts';

const shownMax = 5;

/** @param names in normal form. Those that end in a wildcard stand for any number of names: no certificate covers them. */
export function coverageNotices(certificate: Certificate, names: readonly string[]): Notices {
  const { dnsNames } = certificate.primary;
  const uncovered = serverNames(names).filter((name) => !name.endsWith('*') && !coversName(dnsNames, name));
  if (uncovered.length === 0) return noNotices;
  const shown = uncovered.slice(0, shownMax).join(', ');
  const rest = uncovered.length > shownMax ? ` and ${uncovered.length - shownMax} more` : '';
  const message = `The certificate ${certificate.id} does not cover ${shown}${rest}.`;
  return {
    warnings: [finding('CERTIFICATE_NAME_NOT_COVERED', 'cert', message, 'Clients of these names will refuse it.')],
    repairs: [],
  };
}

/** The hosts that TLS clients can name: no addresses (RFC 6066 section 3). */
export function serverNames(hosts: readonly string[]): readonly string[] {
  return hosts.filter((host) => parseHostName(host).kind !== 'invalid');
}
