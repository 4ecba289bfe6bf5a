// /snis and /certificates/{id or SNI}/snis, as Kong 3 has them: the names of certificates, each with an entry of its own.
import { PortunusError } from '../../lib/errors.ts';
import type { Certificate, Sni } from '../../model/entities.ts';
import { parseHostName } from '../../model/host-name.ts';
import type { StoreReader, StoreTransaction } from '../../store/contract.ts';
import { isUuid } from '../bodies/decode-fields.ts';
import type { AdminDeps, Answer, Call, Route } from '../contract.ts';
import { coverageNotices } from '../coverage.ts';
import { notFound } from '../not-found.ts';
import { noNotices, write, type Notices } from '../write.ts';
import { adminCertificate, findCertificate } from './certificates.ts';
import { composeSni, type SniPlace } from './compose-sni.ts';
import { entityRoutes } from './entity-routes.ts';
import { listQuery, listToday } from './lists.ts';
import { showSni, sniAnswer, sniBody } from './sni-fields.ts';

/** The certificate of the path; undefined under /snis. */
type Scope = (reader: StoreReader, call: Call) => Promise<Certificate | undefined>;

export function sniRoutes(deps: AdminDeps): readonly Route[] {
  const { store } = deps;
  return [
    ...routesUnder('/snis', 'an SNI', async () => undefined),
    ...routesUnder('/certificates/:certificate/snis', 'an SNI of a certificate', (reader, call) =>
      findCertificate(reader, call.params['certificate'] ?? ''),
    ),
  ];

  function routesUnder(path: string, what: string, scope: Scope): readonly Route[] {
    return entityRoutes({
      path,
      key: 'sni',
      query: listQuery,
      body: sniBody,
      answer: sniAnswer,
      summaries: {
        list: `List: ${what}`,
        create: `Add ${what}`,
        read: `Read ${what} by id or name`,
        put: `Add or replace ${what}`,
        patch: `Change some fields of ${what}`,
        remove: `Remove ${what}`,
      },
      handlers: {
        list: (call) => list(call, scope),
        create: (call) => create(call, scope),
        read: (call) => read(call, scope),
        put: (call) => put(call, scope),
        patch: (call) => patch(call, scope),
        remove: (call) => remove(call, scope),
      },
    });
  }

  async function list(call: Call, scope: Scope): Promise<Answer> {
    const certificate = await scope(store, call);
    if (certificate === undefined) return listToday(call, '/snis', store.snis, {}, showSni);
    const path = `/certificates/${certificate.id}/snis`;
    return listToday(call, path, store.snis, { certificateId: certificate.id }, showSni);
  }

  async function read(call: Call, scope: Scope): Promise<Answer> {
    const sni = await findSni(store, keyOf(call), await scope(store, call));
    if (sni === undefined) throw notFound();
    return { status: 200, body: showSni(sni) };
  }

  function create(call: Call, scope: Scope): Promise<Answer> {
    return write(deps, call, async (tx) => {
      const sni = await compose(tx, call, { certificateId: (await scope(tx, call))?.id });
      await tx.snis.insert(sni);
      return { status: 201, body: showSni(sni), notices: await coverage(tx, sni) };
    });
  }

  /** Upsert: by id under that id, by a name that is not registered under a new one. */
  function put(call: Call, scope: Scope): Promise<Answer> {
    const key = keyOf(call);
    return write(deps, call, async (tx) => {
      const certificate = await scope(tx, call);
      const stored = await findSni(tx, key, undefined);
      if (certificate !== undefined && stored !== undefined && stored.certificateId !== certificate.id)
        throw notFound();
      const place = {
        id: stored?.id ?? (isUuid(key) ? key.toLowerCase() : undefined),
        createdAt: stored?.createdAt,
        certificateId: certificate?.id,
      };
      const sni = await compose(tx, call, isUuid(key) ? place : { ...place, name: key });
      await tx.snis[stored === undefined ? 'insert' : 'replace'](sni);
      return { status: 200, body: showSni(sni), notices: await coverage(tx, sni) };
    });
  }

  function patch(call: Call, scope: Scope): Promise<Answer> {
    const key = keyOf(call);
    return write(deps, call, async (tx) => {
      const certificate = await scope(tx, call);
      const stored = await findSni(tx, key, certificate);
      if (stored === undefined) throw missing(key);
      const sni = await compose(tx, call, {
        id: stored.id,
        createdAt: stored.createdAt,
        kept: stored,
      });
      await tx.snis.replace(sni);
      return { status: 200, body: showSni(sni), notices: await coverage(tx, sni) };
    });
  }

  function remove(call: Call, scope: Scope): Promise<Answer> {
    return write(deps, call, async (tx) => {
      const sni = await findSni(tx, keyOf(call), await scope(tx, call));
      if (sni !== undefined) await tx.snis.delete(sni.id);
      return { status: 204 };
    });
  }

  /** @throws INPUT_INVALID, REFERENCE_MISSING */
  async function compose(tx: StoreTransaction, call: Call, place: Omit<SniPlace, 'now'>): Promise<Sni> {
    const sni = composeSni(call, { ...place, now: deps.now() });
    if ((await adminCertificate(tx, sni.certificateId)) === undefined) throw unknownCertificate(sni.certificateId);
    return sni;
  }
}

async function coverage(tx: StoreTransaction, sni: Sni): Promise<Notices> {
  const certificate = await adminCertificate(tx, sni.certificateId);
  return certificate === undefined ? noNotices : coverageNotices(certificate, [sni.name]);
}

async function findSni(reader: StoreReader, key: string, scope: Certificate | undefined): Promise<Sni | undefined> {
  const parsed = parseHostName(key);
  const sni = isUuid(key)
    ? await reader.snis.get(key.toLowerCase())
    : parsed.kind === 'invalid'
      ? undefined
      : await reader.snis.findByName(parsed.name);
  return scope === undefined || sni?.certificateId === scope.id ? sni : undefined;
}

function missing(key: string): PortunusError {
  const shown = key.slice(0, 256);
  return isUuid(key)
    ? notFound(`could not find the entity with primary key '{id="${shown}"}'`, { id: shown })
    : notFound(`could not find the entity with '{name="${shown}"}'`, { name: shown });
}

function unknownCertificate(value: string): PortunusError {
  return new PortunusError('REFERENCE_MISSING', `There is no certificate ${value}`, {
    facts: { entity: 'sni', field: 'certificateId', value },
  });
}

function keyOf(call: Call): string {
  return call.params['sni'] ?? '';
}
