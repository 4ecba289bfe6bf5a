// /certificates and /certificates/{id or SNI}, as Kong 3 has them. Certificates of ssl plugins are not seen here: they are
// their plugin's.
import { newId } from '../../lib/new-id.ts';
import type { Certificate } from '../../model/entities.ts';
import { parseHostName } from '../../model/host-name.ts';
import type { StoreReader, StoreTransaction } from '../../store/contract.ts';
import { decodeFields, isUuid } from '../bodies/decode-fields.ts';
import { todayPhrases } from '../bodies/phrases.ts';
import type { AdminDeps, Answer, Call, Route } from '../contract.ts';
import { coverageNotices } from '../coverage.ts';
import { notFound } from '../not-found.ts';
import { inputInvalid, type Problem } from '../problems.ts';
import { write, type Written } from '../write.ts';
import { certificateAnswer, certificateBody, certificatePatch, showCertificate } from './certificate-fields.ts';
import { composeCertificate, type CertificatePlace, type ComposedCertificate } from './compose-certificate.ts';
import { entityRoutes } from './entity-routes.ts';
import { certificateListQuery, listToday, readExpiry } from './lists.ts';

export function certificateRoutes(deps: AdminDeps): readonly Route[] {
  const { store } = deps;
  const path = '/certificates';
  return entityRoutes({
    path,
    key: 'certificate',
    query: certificateListQuery,
    body: certificateBody,
    patchBody: certificatePatch,
    answer: certificateAnswer,
    summaries: {
      list: 'List certificates',
      create: 'Add a certificate, and names for it',
      read: 'A certificate by id or by one of its names',
      put: 'Add or replace a certificate',
      patch: 'Change some fields of a certificate',
      remove: 'Remove a certificate and its names',
    },
    handlers: { list, create, read, put, patch, remove },
  });

  async function list(call: Call): Promise<Answer> {
    const filter = { owner: 'admin', expires: readExpiry(call.query) } as const;
    return listToday(call, path, store.certificates, filter, async (certificate) =>
      showCertificate(deps, certificate, await store.snis.ofCertificate(certificate.id)),
    );
  }

  async function read(call: Call): Promise<Answer> {
    const certificate = await findCertificate(store, keyOf(call));
    return { status: 200, body: showCertificate(deps, certificate, await store.snis.ofCertificate(certificate.id)) };
  }

  function create(call: Call): Promise<Answer> {
    const decoded = decodeFields(certificateBody, call.body, todayPhrases);
    return write(deps, call, async (tx) => {
      const place: CertificatePlace = { id: decoded.values.id ?? newId(), names: [], unsent: 'default' };
      return save(tx, 201, place, await composeCertificate(deps, tx, call, decoded, place));
    });
  }

  /** Upsert: by id under that id; by a name that is not registered as a new certificate that gets the name too. */
  function put(call: Call): Promise<Answer> {
    const decoded = decodeFields(certificateBody, call.body, todayPhrases);
    const key = keyOf(call);
    return write(deps, call, async (tx) => {
      const stored = isUuid(key) ? await adminCertificate(tx, key.toLowerCase()) : await certificateOfName(tx, key);
      const fresh = stored === undefined && !isUuid(key);
      const place = await placeOf(tx, stored ?? { id: isUuid(key) ? key.toLowerCase() : newId() }, 'default');
      const sent = decoded.values.snis ?? [];
      const values = fresh
        ? { ...decoded.values, snis: sent.some((name) => sameName(name, key)) ? sent : [...sent, key] }
        : decoded.values;
      return save(tx, 200, place, await composeCertificate(deps, tx, call, { ...decoded, values }, place));
    });
  }

  function patch(call: Call): Promise<Answer> {
    const decoded = decodeFields(certificatePatch, call.body, todayPhrases);
    return write(deps, call, async (tx) => {
      const place = await placeOf(tx, await findCertificate(tx, keyOf(call)), 'kept');
      return save(tx, 200, place, await composeCertificate(deps, tx, call, decoded, place));
    });
  }

  function remove(call: Call): Promise<Answer> {
    return write(deps, call, async (tx) => {
      const key = keyOf(call);
      const certificate = isUuid(key) ? await adminCertificate(tx, key.toLowerCase()) : await findCertificate(tx, key);
      if (certificate !== undefined) await tx.certificates.delete(certificate.id);
      return { status: 204 };
    });
  }

  async function save(
    tx: StoreTransaction,
    status: number,
    place: CertificatePlace,
    composed: ComposedCertificate,
  ): Promise<Written> {
    const { certificate, names, uploaded } = composed;
    const notices = uploaded ? composed.notices : coverageNotices(certificate, names);
    await refuseHeld(tx, certificate.id, names);
    await tx.certificates[place.stored === undefined ? 'insert' : 'replace'](certificate);
    const present = await tx.snis.ofCertificate(certificate.id);
    for (const sni of present) if (!names.includes(sni.name)) await tx.snis.delete(sni.id);
    const held = new Set(present.map((sni) => sni.name));
    for (const name of names) {
      if (held.has(name)) continue;
      const at = deps.now();
      await tx.snis.insert({
        id: newId(),
        name,
        certificateId: certificate.id,
        tags: [],
        createdAt: at,
        updatedAt: at,
      });
    }
    const body = showCertificate(
      deps,
      certificate,
      names.map((name) => ({ name })),
    );
    return {
      status,
      body,
      notices,
      uploaded,
      pairs: [certificate.primary, ...(certificate.alternative === null ? [] : [certificate.alternative])],
    };
  }
}

/** By id, or by one of its names. @throws ENTITY_NOT_FOUND */
export async function findCertificate(reader: StoreReader, key: string): Promise<Certificate> {
  if (!isUuid(key)) {
    const found = await certificateOfName(reader, key);
    if (found === undefined) throw notFound('SNI not found');
    return found;
  }
  const id = key.toLowerCase();
  const found = await adminCertificate(reader, id);
  if (found === undefined) throw notFound(`could not find the entity with primary key '{id="${id}"}'`, { id });
  return found;
}

export async function adminCertificate(reader: StoreReader, id: string): Promise<Certificate | undefined> {
  const certificate = await reader.certificates.get(id);
  return certificate?.owner.kind === 'admin' ? certificate : undefined;
}

async function certificateOfName(reader: StoreReader, text: string): Promise<Certificate | undefined> {
  const parsed = parseHostName(text);
  const sni = parsed.kind === 'invalid' ? undefined : await reader.snis.findByName(parsed.name);
  return sni === undefined ? undefined : adminCertificate(reader, sni.certificateId);
}

function sameName(one: string, other: string): boolean {
  const [a, b] = [parseHostName(one), parseHostName(other)];
  return a.kind !== 'invalid' && b.kind !== 'invalid' && a.name === b.name;
}

async function placeOf(
  tx: StoreTransaction,
  found: Certificate | { readonly id: string },
  unsent: CertificatePlace['unsent'],
): Promise<CertificatePlace> {
  const names = (await tx.snis.ofCertificate(found.id)).map((sni) => sni.name);
  return { id: found.id, stored: 'primary' in found ? found : undefined, names, unsent };
}

/** A name of a request that another certificate serves is the request's mistake. @throws INPUT_INVALID */
async function refuseHeld(tx: StoreTransaction, certificateId: string, names: readonly string[]): Promise<void> {
  const problems: Problem[] = [];
  for (const name of names) {
    const binding = await tx.binding(name);
    if (binding === undefined || (binding.holder.kind === 'sni' && binding.certificateId === certificateId)) continue;
    const message =
      binding.holder.kind === 'sni'
        ? `${name} already associated with existing certificate '${binding.certificateId}'`
        : `${name} already associated with the ssl plugin '${binding.holder.id}'`;
    problems.push({
      field: 'snis',
      message,
      code: 'NAME_ALREADY_BOUND',
      hint: 'A name has one certificate at a time: change the holder, or remove it first.',
    });
  }
  if (problems.length > 0) throw inputInvalid(problems);
}

function keyOf(call: Call): string {
  return call.params['certificate'] ?? '';
}
