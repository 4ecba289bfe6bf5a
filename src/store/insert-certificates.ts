// Many certificates with their SNIs, or SNIs alone, at once. The rules are those of writes.ts, looked up for all of them together.
import { isPortunusError, type PortunusError } from '../lib/errors.ts';
import type { Sni } from '../model/entities.ts';
import { bindingOfSni, refuseHeld } from './bindings.ts';
import type { ChangeLog, NewRecord } from './change-log.ts';
import type { CertificateWithSnis } from './contract.ts';
import type { Known, Rows } from './rows.ts';
import { missing, violation } from './violation.ts';

/** As StoreTransaction promises. */
export async function insertCertificates(
  rows: Rows,
  log: Pick<ChangeLog, 'reserve'>,
  items: readonly CertificateWithSnis[],
): Promise<readonly (PortunusError | undefined)[]> {
  for (const { certificate, snis } of items) {
    if (snis.some((sni) => sni.certificateId !== certificate.id)) {
      throw new TypeError(`an SNI that comes with certificate ${certificate.id} is of another one`);
    }
  }
  const snis = items.flatMap((item) => item.snis);
  const known = await rows.known({
    certificateIds: items.map((item) => item.certificate.id),
    sniIds: snis.map((sni) => sni.id),
    names: snis.map((sni) => sni.name),
  });
  const taken = nothing();
  const errors: (PortunusError | undefined)[] = [];
  for (const item of items) {
    const error = await conflictOf(rows, known, taken, item);
    errors.push(error);
    if (error !== undefined) continue;
    taken.certificateIds.add(item.certificate.id);
    for (const sni of item.snis) takeSni(taken, sni);
  }
  const accepted = items.filter((_item, index) => errors[index] === undefined);
  if (accepted.length > 0) {
    const acceptedSnis = accepted.flatMap((item) => item.snis);
    await rows.insertMany({
      certificates: accepted.map((item) => item.certificate),
      snis: acceptedSnis,
      bindings: acceptedSnis.map(bindingOfSni),
      ...(await log.reserve(accepted.flatMap(recordsOf))),
    });
  }
  return errors;
}

/** As StoreTransaction promises. */
export async function insertSnis(
  rows: Rows,
  log: Pick<ChangeLog, 'reserve'>,
  snis: readonly Sni[],
): Promise<readonly (PortunusError | undefined)[]> {
  const known = await rows.known({
    certificateIds: snis.map((sni) => sni.certificateId),
    sniIds: snis.map((sni) => sni.id),
    names: snis.map((sni) => sni.name),
  });
  const taken = nothing();
  const errors: (PortunusError | undefined)[] = [];
  for (const sni of snis) {
    let error = await conflictOfSni(rows, known, [taken], sni);
    if (!known.certificateIds.has(sni.certificateId) && error?.code !== 'UNIQUE_VIOLATION') {
      error = missing('sni', 'certificateId', sni.certificateId);
    }
    errors.push(error);
    if (error === undefined) takeSni(taken, sni);
  }
  const accepted = snis.filter((_sni, index) => errors[index] === undefined);
  if (accepted.length > 0) {
    await rows.insertMany({
      certificates: [],
      snis: accepted,
      bindings: accepted.map(bindingOfSni),
      ...(await log.reserve(accepted.map(recordOfSni))),
    });
  }
  return errors;
}

/** What the items before have, of this call. */
interface Taken {
  readonly certificateIds: Set<string>;
  readonly sniIds: Set<string>;
  readonly names: Set<string>;
}

function nothing(): Taken {
  return { certificateIds: new Set(), sniIds: new Set(), names: new Set() };
}

function takeSni(taken: Taken, { id, name }: Sni): void {
  taken.sniIds.add(id);
  taken.names.add(name);
}

async function conflictOf(
  rows: Rows,
  known: Known,
  taken: Taken,
  { certificate: { id }, snis }: CertificateWithSnis,
): Promise<PortunusError | undefined> {
  if (known.certificateIds.has(id) || taken.certificateIds.has(id)) return violation('certificate', 'id', id);
  const own = nothing();
  for (const sni of snis) {
    const error = await conflictOfSni(rows, known, [taken, own], sni);
    if (error !== undefined) return error;
    takeSni(own, sni);
  }
  return undefined;
}

async function conflictOfSni(
  rows: Rows,
  known: Known,
  taken: readonly Taken[],
  sni: Sni,
): Promise<PortunusError | undefined> {
  const { id, name } = sni;
  if (known.sniIds.has(id) || taken.some((before) => before.sniIds.has(id))) return violation('sni', 'id', id);
  if (taken.some((before) => before.names.has(name))) return violation('sni', 'name', name);
  return known.names.has(name) ? refusalOfName(rows, sni) : undefined;
}

/** The error of `snis.insert`, which tells an SNI that holds a name from a plugin that binds it. */
async function refusalOfName(rows: Rows, { name }: Sni): Promise<PortunusError | undefined> {
  if ((await rows.read.snis.findByName(name)) !== undefined) return violation('sni', 'name', name);
  try {
    await refuseHeld(rows, name);
    return undefined;
  } catch (error) {
    if (isPortunusError(error, 'NAME_ALREADY_BOUND')) return error;
    throw error;
  }
}

function recordsOf({ certificate, snis }: CertificateWithSnis): readonly NewRecord[] {
  return [{ entity: 'certificate', created: certificate }, ...snis.map(recordOfSni)];
}

function recordOfSni(sni: Sni): NewRecord {
  return { entity: 'sni', created: sni };
}
