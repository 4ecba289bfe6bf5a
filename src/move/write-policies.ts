// CA certificates and policies of hosts of a file into one transaction, by the rules of the Admin API.
import { isDeepStrictEqual } from 'node:util';
import { decodeFields } from '../admin/bodies/decode-fields.ts';
import type { RequestBody } from '../admin/bodies/fields.ts';
import { todayPhrases } from '../admin/bodies/phrases.ts';
import { composeHost } from '../admin/policies/host-fields.ts';
import { caCertificateBody } from '../admin/today/ca-certificate-fields.ts';
import { refuseTooMany } from '../admin/today/ca-certificates.ts';
import { composeCaCertificate } from '../admin/today/compose-ca-certificate.ts';
import { newId } from '../lib/new-id.ts';
import type { CaCertificate, HostPolicy } from '../model/entities.ts';
import type { StoreTransaction } from '../store/contract.ts';
import { violation } from '../store/violation.ts';
import type { ApiWriting, Written } from './write-apis.ts';

/** A list of what it revoked that the file does not have stays: nobody is let in by an import. */
export async function writeCaCertificate(
  tx: StoreTransaction,
  body: RequestBody,
  { deps, force, replace }: ApiWriting,
): Promise<Written<CaCertificate>> {
  const decoded = decodeFields(caCertificateBody, body, todayPhrases);
  const { id } = decoded.values;
  const compose = (stored: CaCertificate | undefined, forced: boolean): CaCertificate => {
    const place = { id: stored?.id ?? id ?? newId(), stored, unsent: 'kept', now: deps.now(), force: forced } as const;
    return composeCaCertificate(deps.config, decoded, place).authority;
  };
  // What is out of date is told of what would be written, not of what is there.
  const { fingerprint } = compose(undefined, true);
  const stored = await (id === undefined
    ? tx.caCertificates.findByFingerprint(fingerprint)
    : tx.caCertificates.get(id));
  if (stored !== undefined && isSame(compose(stored, true), stored)) return { how: 'unchanged', value: stored };
  const authority = compose(stored, force);
  if (stored !== undefined && !replace) throw violation('ca_certificate', 'id', stored.id);
  if (stored === undefined) await refuseTooMany(tx);
  await tx.caCertificates[stored === undefined ? 'insert' : 'replace'](authority);
  return { how: stored === undefined ? 'written' : 'replaced', value: authority };
}

export async function writeHost(
  tx: StoreTransaction,
  body: RequestBody,
  { deps, replace }: ApiWriting,
): Promise<Written<HostPolicy>> {
  const fresh = composeHost({ body }, { now: deps.now() });
  const hasId = Object.hasOwn(body.fields, 'id');
  const stored = await (hasId ? tx.hostPolicies.get(fresh.id) : tx.hostPolicies.findByName(fresh.name));
  const policy = stored === undefined ? fresh : { ...fresh, id: stored.id, createdAt: stored.createdAt };
  if (stored !== undefined && isSame(policy, stored)) return { how: 'unchanged', value: stored };
  if (stored !== undefined && !replace)
    throw violation('host_policy', hasId ? 'id' : 'name', hasId ? stored.id : stored.name);
  await tx.hostPolicies[stored === undefined ? 'insert' : 'replace'](policy);
  return { how: stored === undefined ? 'written' : 'replaced', value: policy };
}

function isSame<E extends { readonly updatedAt: number }>(one: E, other: E): boolean {
  return isDeepStrictEqual({ ...one, updatedAt: 0 }, { ...other, updatedAt: 0 });
}
