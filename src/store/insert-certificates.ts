// Many certificates with their SNIs at once. The rules are those of writes.ts, looked up for all of them together.
import { isPortunusError, type PortunusError } from '../lib/errors.ts';
import type { Change, Sni } from '../model/entities.ts';
import { bindingOfSni, refuseHeld } from './bindings.ts';
import type { ChangeLog } from './change-log.ts';
import type { CertificateWithSnis } from './contract.ts';
import type { Known, Rows } from './rows.ts';
import { violation } from './violation.ts';

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
  const taken: Taken = { certificateIds: new Set(), sniIds: new Set(), names: new Set() };
  const errors: (PortunusError | undefined)[] = [];
  for (const item of items) {
    const error = await conflictOf(rows, known, taken, item);
    errors.push(error);
    if (error === undefined) take(taken, item);
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

/** What the items before have, of this call. */
interface Taken {
  readonly certificateIds: Set<string>;
  readonly sniIds: Set<string>;
  readonly names: Set<string>;
}

async function conflictOf(
  rows: Rows,
  known: Known,
  taken: Taken,
  { certificate: { id }, snis }: CertificateWithSnis,
): Promise<PortunusError | undefined> {
  if (known.certificateIds.has(id) || taken.certificateIds.has(id)) return violation('certificate', 'id', id);
  const [ids, names] = [new Set<string>(), new Set<string>()];
  for (const sni of snis) {
    if (known.sniIds.has(sni.id) || taken.sniIds.has(sni.id) || ids.has(sni.id)) return violation('sni', 'id', sni.id);
    if (taken.names.has(sni.name) || names.has(sni.name)) return violation('sni', 'name', sni.name);
    if (known.names.has(sni.name)) {
      const error = await refusalOfName(rows, sni);
      if (error !== undefined) return error;
    }
    ids.add(sni.id);
    names.add(sni.name);
  }
  return undefined;
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

function take(taken: Taken, { certificate, snis }: CertificateWithSnis): void {
  taken.certificateIds.add(certificate.id);
  for (const sni of snis) {
    taken.sniIds.add(sni.id);
    taken.names.add(sni.name);
  }
}

function recordsOf({ certificate, snis }: CertificateWithSnis): Pick<Change, 'entity' | 'id' | 'operation'>[] {
  return [
    { entity: 'certificate', id: certificate.id, operation: 'create' },
    ...snis.map((sni) => ({ entity: 'sni', id: sni.id, operation: 'create' }) as const),
  ];
}
