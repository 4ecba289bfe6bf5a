// /ca_certificates and /ca_certificates/{id}, as Kong 3 has them: authorities that clients' certificates may stand on.
import { PortunusError } from '../../lib/errors.ts';
import { newId } from '../../lib/new-id.ts';
import type { CaCertificate } from '../../model/entities.ts';
import type { StoreTransaction } from '../../store/contract.ts';
import { decodeFields, isUuid } from '../bodies/decode-fields.ts';
import { todayPhrases } from '../bodies/phrases.ts';
import type { AdminDeps, Answer, Call, Route } from '../contract.ts';
import { notFound } from '../not-found.ts';
import { write, type Written } from '../write.ts';
import {
  caCertificateAnswer,
  caCertificateBody,
  caCertificatePatch,
  showCaCertificate,
} from './ca-certificate-fields.ts';
import { composeCaCertificate, type CaCertificatePlace, type ComposedCaCertificate } from './compose-ca-certificate.ts';
import { entityRoutes } from './entity-routes.ts';
import { listQuery, listToday } from './lists.ts';

/** Each may have a list of some megabytes, which every worker holds. */
export const caCertificatesMax = 1000;

export function caCertificateRoutes(deps: AdminDeps): readonly Route[] {
  const { store } = deps;
  const path = '/ca_certificates';
  return entityRoutes({
    path,
    key: 'ca_certificate',
    query: listQuery,
    body: caCertificateBody,
    patchBody: caCertificatePatch,
    answer: caCertificateAnswer,
    summaries: {
      list: 'List CA certificates',
      create: 'Add a CA certificate',
      read: 'A CA certificate by id',
      put: 'Add or replace a CA certificate',
      patch: 'Change some fields of a CA certificate',
      remove: 'Remove a CA certificate that no rule names',
    },
    handlers: {
      list: (call) => listToday(call, path, store.caCertificates, {}, showCaCertificate),
      create,
      read,
      put,
      patch,
      remove,
    },
  });

  async function read(call: Call): Promise<Answer> {
    const authority = await find(store, idOf(call));
    if (authority === undefined) throw notFound();
    return { status: 200, body: showCaCertificate(authority) };
  }

  function create(call: Call): Promise<Answer> {
    const decoded = decodeFields(caCertificateBody, call.body, todayPhrases);
    return write(deps, call, async (tx) => {
      const place = placeOf(call, decoded.values.id ?? newId(), undefined, 'default');
      return save(tx, 201, place, composeCaCertificate(deps.config, decoded, place));
    });
  }

  /** Upsert. */
  function put(call: Call): Promise<Answer> {
    const decoded = decodeFields(caCertificateBody, call.body, todayPhrases);
    const id = idOf(call);
    if (id === undefined) throw notFound();
    return write(deps, call, async (tx) => {
      const place = placeOf(call, id, await find(tx, id), 'default');
      return save(tx, 200, place, composeCaCertificate(deps.config, decoded, place));
    });
  }

  function patch(call: Call): Promise<Answer> {
    const decoded = decodeFields(caCertificatePatch, call.body, todayPhrases);
    return write(deps, call, async (tx) => {
      const id = idOf(call);
      const stored = await find(tx, id);
      if (id === undefined) throw notFound();
      if (stored === undefined) throw notFound(`could not find the entity with primary key '{id="${id}"}'`, { id });
      const place = placeOf(call, id, stored, 'kept');
      return save(tx, 200, place, composeCaCertificate(deps.config, decoded, place));
    });
  }

  function remove(call: Call): Promise<Answer> {
    return write(deps, call, async (tx) => {
      const authority = await find(tx, idOf(call));
      if (authority !== undefined) await tx.caCertificates.delete(authority.id);
      return { status: 204 };
    });
  }

  function placeOf(
    { force }: Call,
    id: string,
    stored: CaCertificate | undefined,
    unsent: CaCertificatePlace['unsent'],
  ): CaCertificatePlace {
    return { id, stored, unsent, now: deps.now(), force };
  }

  async function save(
    tx: StoreTransaction,
    status: number,
    { stored }: CaCertificatePlace,
    { authority, notices }: ComposedCaCertificate,
  ): Promise<Written> {
    if (stored === undefined) await refuseTooMany(tx);
    await tx.caCertificates[stored === undefined ? 'insert' : 'replace'](authority);
    return { status, body: showCaCertificate(authority), notices };
  }
}

/** @throws ENTITIES_TOO_MANY */
export async function refuseTooMany(tx: StoreTransaction): Promise<void> {
  if ((await tx.caCertificates.count()) < caCertificatesMax) return;
  throw new PortunusError('ENTITIES_TOO_MANY', `There are ${caCertificatesMax} CA certificates, and no more are taken`);
}

async function find(
  reader: Pick<StoreTransaction, 'caCertificates'> | AdminDeps['store'],
  id: string | undefined,
): Promise<CaCertificate | undefined> {
  return id === undefined ? undefined : reader.caCertificates.get(id);
}

/** Undefined when it is none. */
function idOf(call: Call): string | undefined {
  const key = call.params['ca_certificate'] ?? '';
  return isUuid(key) ? key.toLowerCase() : undefined;
}
