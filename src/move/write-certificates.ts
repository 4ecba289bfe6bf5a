// Composed certificates into one transaction: what is there already is left alone, what others hold is refused, or
// replaced when that is wanted.
import { isPortunusError, type PortunusError } from '../lib/errors.ts';
import { createLru } from '../lib/lru.ts';
import { newId } from '../lib/new-id.ts';
import type { Leaf, StoreTransaction } from '../store/contract.ts';
import type { Sealer } from '../store/sealer.ts';
import { violation } from '../store/violation.ts';
import type { ComposedCertificate, ImportProblem } from './compose-entry.ts';

/** Certificates that go to the store in one call. */
export const batchSize = 500;

const rememberedMax = 10_000;

export interface Outcome {
  written: number;
  replaced: number;
  unchanged: number;
  readonly problems: ImportProblem[];
}

export function emptyOutcome(): Outcome {
  return { written: 0, replaced: 0, unchanged: 0, problems: [] };
}

export interface CertificateWriter {
  /** @throws what the store throws, but for the conflicts of single certificates */
  write(tx: StoreTransaction, items: readonly ComposedCertificate[], outcome: Outcome): Promise<void>;
}

/**
 * @param sealer opens what is stored
 * @param rehearsed nothing is committed: what a batch would have written stands in the way of the batches after it
 */
export function createCertificateWriter(sealer: Sealer, replace: boolean, rehearsed: boolean): CertificateWriter {
  const remembered = createLru<string, true>(rememberedMax);
  const claims: Stored | undefined = rehearsed ? { byName: new Map(), byId: new Map() } : undefined;

  return {
    async write(tx, items, outcome) {
      for (let at = 0; at < items.length; at += batchSize) {
        await writeBatch(tx, items.slice(at, at + batchSize), outcome);
      }
    },
  };

  async function writeBatch(
    tx: StoreTransaction,
    items: readonly ComposedCertificate[],
    outcome: Outcome,
  ): Promise<void> {
    const before = await storedOf(tx, items);
    const fresh: ComposedCertificate[] = [];
    for (const item of items) {
      const claimed = claims === undefined ? undefined : conflict(item, claims);
      if (isThere(item, before)) {
        if (replace && !item.keyless && !opens(item, before)) await replaceIn(tx, item, outcome);
        else outcome.unchanged += 1;
      } else if (item.keyless) outcome.problems.push(keylessProblem(item));
      else if (claimed !== undefined && !replace) outcome.problems.push(problemOf(item, claimed));
      else if (claimed !== undefined) outcome.replaced += 1;
      else fresh.push(item);
    }
    const errors = await tx.insertCertificates(fresh);
    const failed = fresh.filter((_item, index) => errors[index] !== undefined);
    // One that came twice is there now.
    const after = await storedOf(tx, failed);
    for (const [index, item] of fresh.entries()) {
      const error = errors[index];
      if (error === undefined) {
        outcome.written += 1;
        claim(item);
      } else if (isThere(item, after)) outcome.unchanged += 1;
      else if (replace) await replaceIn(tx, item, outcome);
      else outcome.problems.push(problemOf(item, error));
    }
    await remember(tx, fresh);
  }

  /** Whether those that hold its names, and are the same, have their keys still: one that was lost comes again with it. */
  function opens({ certificate, snis }: ComposedCertificate, { byName, byId }: Stored): boolean {
    const { primary, alternative } = certificate;
    const leaves = snis.length === 0 ? [byId.get(certificate.id)] : snis.map(({ name }) => byName.get(name));
    return leaves.every(
      (leaf) =>
        leaf === undefined ||
        (isOpened(leaf.sealedKey, primary.publicKeySha256) &&
          (alternative === null || isOpened(leaf.sealedKeyAlt ?? '', alternative.publicKeySha256))),
    );
  }

  function isOpened(sealedKey: string, publicKeySha256: string): boolean {
    try {
      sealer.open(sealedKey, publicKeySha256).fill(0);
      return true;
    } catch (error) {
      if (isPortunusError(error, 'KEYRING_MISMATCH')) return false;
      throw error;
    }
  }

  async function storedOf(tx: StoreTransaction, items: readonly ComposedCertificate[]): Promise<Stored> {
    if (items.length === 0) return { byName: new Map(), byId: new Map() };
    const found = await tx.leaves({
      names: items.flatMap(({ snis }) => snis.map(({ name }) => name)),
      certificateIds: items.map(({ certificate }) => certificate.id),
    });
    if (claims === undefined) return { byName: new Map(found.byName), byId: new Map(found.byId) };
    return { byName: new Map([...found.byName, ...claims.byName]), byId: new Map([...found.byId, ...claims.byId]) };
  }

  function claim({ certificate, snis }: ComposedCertificate): void {
    if (claims === undefined) return;
    const leaf: Leaf = {
      certificateId: certificate.id,
      fingerprint: certificate.primary.fingerprint,
      sealedKey: certificate.primary.sealedKey,
      fingerprintAlt: certificate.alternative?.fingerprint ?? null,
      sealedKeyAlt: certificate.alternative?.sealedKey ?? null,
    };
    claims.byId.set(certificate.id, leaf);
    for (const { name } of snis) claims.byName.set(name, leaf);
  }

  async function remember(tx: StoreTransaction, items: readonly ComposedCertificate[]): Promise<void> {
    const found = items.flatMap(({ intermediates }) => intermediates);
    const news = found.filter(({ subjectKey, pem }) => {
      const key = `${subjectKey} ${pem}`;
      if (remembered.get(key) === true) return false;
      remembered.set(key, true);
      return true;
    });
    if (news.length > 0) await tx.rememberIntermediates(news);
  }
}

interface Stored {
  readonly byName: Map<string, Leaf>;
  readonly byId: Map<string, Leaf>;
}

/** Every name is bound to a certificate with the same leaves; of one without names, its id is there. */
function isThere({ certificate, snis }: ComposedCertificate, { byName, byId }: Stored): boolean {
  const same = (leaf: Leaf | undefined): boolean =>
    leaf?.fingerprint === certificate.primary.fingerprint &&
    leaf.fingerprintAlt === (certificate.alternative?.fingerprint ?? null);
  return snis.length === 0 ? same(byId.get(certificate.id)) : snis.every(({ name }) => same(byName.get(name)));
}

function conflict({ certificate, snis }: ComposedCertificate, { byName, byId }: Stored): PortunusError | undefined {
  if (byId.has(certificate.id)) return violation('certificate', 'id', certificate.id);
  const name = snis.find((sni) => byName.has(sni.name))?.name;
  return name === undefined ? undefined : violation('sni', 'name', name);
}

function problemOf({ where }: ComposedCertificate, { code, message }: PortunusError): ImportProblem {
  return { where, code, message };
}

function keylessProblem({ where }: ComposedCertificate): ImportProblem {
  const message = 'its key is only named, and no such certificate is stored: export it with --with-keys';
  return { where, code: 'KEY_MISSING', message };
}

/** In place: the certificate that holds its id or its names keeps its id and its other names. */
async function replaceIn(tx: StoreTransaction, item: ComposedCertificate, outcome: Outcome): Promise<void> {
  const { where, certificate, snis } = item;
  const { byName, byId } = await tx.leaves({
    names: snis.map(({ name }) => name),
    certificateIds: [certificate.id],
  });
  const held = new Set([...byName.values(), ...byId.values()].map(({ certificateId }) => certificateId));
  const [id] = held;
  const stored = id === undefined ? undefined : await tx.certificates.get(id);
  if (stored === undefined || held.size !== 1 || stored.owner.kind !== 'admin') {
    const by =
      stored === undefined || held.size !== 1 ? 'several certificates hold its names' : 'a plugin holds its name';
    outcome.problems.push({
      where,
      code: 'NAME_ALREADY_BOUND',
      message: `${by}; only one of /certificates is replaced`,
    });
    return;
  }
  const tags = [...new Set([...stored.tags, ...certificate.tags])];
  await tx.certificates.replace({ ...certificate, id: stored.id, tags, createdAt: stored.createdAt });
  for (const sni of snis) {
    if (!byName.has(sni.name)) await tx.snis.insert({ ...sni, id: newId(), certificateId: stored.id });
  }
  outcome.replaced += 1;
}
