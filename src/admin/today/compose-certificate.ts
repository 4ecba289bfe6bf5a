// From the fields of a request to a certificate and its names: both pairs through intake, merging, all problems at once.
import type { Certificate, KeyPair } from '../../model/entities.ts';
import type { StoreTransaction } from '../../store/contract.ts';
import type { Decoded } from '../bodies/decode-fields.ts';
import { acceptPair, holdsKey } from '../certificate-input.ts';
import type { AdminDeps, Call } from '../contract.ts';
import { inputInvalid, invalid, wholeEntity, type Problem } from '../problems.ts';
import { joinNotices, noNotices, type Notices } from '../write.ts';
import type { CertificateFields } from './certificate-fields.ts';
import { checkSniNames } from './sni-names.ts';
import { checkTags, tagsAfter } from './tags.ts';

export interface CertificatePlace {
  readonly id: string;
  readonly stored?: Certificate | undefined;
  /** Names the stored certificate has; they stay when a PATCH says nothing about them. */
  readonly names: readonly string[];
  /** What is not sent: is kept (PATCH), or gets its default (POST, PUT). */
  readonly unsent: 'kept' | 'default';
}

export interface ComposedCertificate {
  readonly certificate: Certificate;
  /** Normal form. */
  readonly names: readonly string[];
  readonly notices: Notices;
  readonly uploaded: boolean;
}

interface Slot {
  readonly cert: 'cert' | 'cert_alt';
  readonly key: 'key' | 'key_alt';
  readonly passphrase: 'passphrase' | 'passphrase_alt';
  readonly mismatch: string;
}

const primarySlot: Slot = {
  cert: 'cert',
  key: 'key',
  passphrase: 'passphrase',
  mismatch: 'certificate does not match key',
};
const alternativeSlot: Slot = {
  cert: 'cert_alt',
  key: 'key_alt',
  passphrase: 'passphrase_alt',
  mismatch: 'alternative certificate does not match key',
};

/** @throws INPUT_INVALID with every problem at once */
export async function composeCertificate(
  deps: AdminDeps,
  tx: StoreTransaction,
  call: Call,
  { values, problems: earlier }: Decoded<CertificateFields>,
  place: CertificatePlace,
): Promise<ComposedCertificate> {
  const { stored } = place;
  const kept = place.unsent === 'kept' ? stored : undefined;
  const problems = [...earlier];

  const given = values.snis === null ? [] : values.snis;
  const checked = given === undefined ? undefined : checkSniNames(given);
  problems.push(...(checked?.problems ?? []), ...checkTags(values.tags ?? []));
  const names = checked?.names ?? (kept === undefined ? [] : place.names);

  const accept = async (slot: Slot, storedPair: KeyPair | undefined) => {
    const [cert, key] = [values[slot.cert] ?? undefined, values[slot.key] ?? undefined];
    const passphrase = values[slot.passphrase] ?? undefined;
    const accepted = await acceptPair(deps, tx, {
      cert,
      key,
      passphrase,
      stored: storedPair,
      expectedNames: names,
      force: call.force,
    });
    if (accepted.kind === 'accepted') return accepted;
    problems.push(...accepted.problems.map((problem) => phrase(problem, slot)));
    return undefined;
  };
  const has = (slot: Slot, pair: KeyPair | null | undefined) => presence(values, slot, pair ?? undefined);

  const main = has(primarySlot, kept?.primary);
  for (const name of ['cert', 'key'] as const) {
    const absent = !main[name] && !problems.some(({ field }) => field === name);
    if (absent) problems.push(invalid(name, 'required field missing'));
  }
  const primary = main.cert && main.key ? await accept(primarySlot, stored?.primary) : undefined;

  const other = has(alternativeSlot, kept?.alternative);
  if (other.cert !== other.key) {
    problems.push(invalid(wholeEntity, "all or none of these fields must be set: 'cert_alt', 'key_alt'"));
  }
  const alternative =
    other.cert && other.key ? await accept(alternativeSlot, stored?.alternative ?? undefined) : undefined;
  if (primary !== undefined && alternative !== undefined && primary.pair.keyType === alternative.pair.keyType) {
    problems.push(invalid(wholeEntity, sameType));
  }
  if (primary === undefined || problems.length > 0) throw inputInvalid(problems);

  const now = deps.now();
  const certificate: Certificate = {
    id: place.id,
    owner: { kind: 'admin' },
    primary: primary.pair,
    alternative: alternative?.pair ?? null,
    tags: tagsAfter(values.tags, kept?.tags),
    createdAt: stored?.createdAt ?? now,
    updatedAt: now,
  };
  return {
    certificate,
    names,
    notices: joinNotices(primary.notices, alternative?.notices ?? noNotices),
    uploaded: primary.fresh || alternative?.fresh === true,
  };
}

const sameType =
  'certificate and alternative certificate need to have different type (e.g. RSA and ECDSA), ' +
  'the provided certificates were both of the same type';

/** Which half of a pair there will be: sent, or kept; `null` removes. A file with both halves is both. */
function presence(values: CertificateFields, slot: Slot, kept: KeyPair | undefined): { cert: boolean; key: boolean } {
  const half = (name: Slot['cert'] | Slot['key']): boolean =>
    Object.hasOwn(values, name) ? values[name] !== null : kept !== undefined;
  return { cert: half(slot.cert), key: half(slot.key) || holdsKey(values[slot.cert] ?? undefined) };
}

/** Today's own words where it has some; what intake found then stands beside them. */
function phrase(problem: Problem, slot: Slot): Problem {
  const { code, message } = problem;
  const field = problem.field === 'key' ? slot.key : problem.field === 'passphrase' ? slot.passphrase : slot.cert;
  if (code === 'CERTIFICATE_KEY_MISMATCH') {
    return { field: wholeEntity, code, message: slot.mismatch, hint: joined(message, problem.hint) };
  }
  if (code === 'CERTIFICATE_UNREADABLE') return { ...problem, field, message: `invalid certificate: ${message}` };
  if (code === 'KEY_UNREADABLE') return { ...problem, field, message: `invalid key: ${message}` };
  return { ...problem, field };
}

function joined(message: string, hint: string | undefined): string {
  return hint === undefined ? message : `${message} ${hint}`;
}
