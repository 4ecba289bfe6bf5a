// Authorities of a rule that vouch for nobody any more: for writes of rules. What arrives with an authority is intake's to judge.
import type { ClientCertificateRule } from '../../model/entities.ts';
import type { StoreReader } from '../../store/contract.ts';
import { finding, quote } from '../../x509/findings.ts';
import { caCertificatesMax } from '../today/ca-certificates.ts';
import { noNotices, type Notices } from '../write.ts';

/** @param now milliseconds since the epoch */
export async function ruleNotices(
  reader: Pick<StoreReader, 'authoritiesSoonestToExpire'>,
  rule: ClientCertificateRule | null,
  now: number,
): Promise<Notices> {
  if (rule === null) return noNotices;
  const soonest = await reader.authoritiesSoonestToExpire(caCertificatesMax);
  const gone = soonest.filter(({ id, notAfter }) => notAfter < now && rule.authorities.includes(id));
  return {
    warnings: gone.map(({ id, name, notAfter }) => {
      const since = new Date(notAfter).toISOString().slice(0, 10);
      const message = `The CA certificate ${id}, ${quote(name)}, or its revocation list has run out on ${since}: it lets nobody in.`;
      return finding('CA_CERTIFICATE_RUN_OUT', 'ca_certificates', message, 'Send the current one to /ca_certificates.');
    }),
    repairs: [],
  };
}
