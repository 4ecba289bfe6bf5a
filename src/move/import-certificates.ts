// Many certificates into a store at once: each through intake, as by any other door, then sealed, then written in batches.
import { randomUUID } from 'node:crypto';
import { PortunusError } from '../lib/errors.ts';
import type { Certificate, Milliseconds, Sni } from '../model/entities.ts';
import { parseHostName } from '../model/host-name.ts';
import { isTag } from '../model/tag.ts';
import type { CertificateWithSnis, Store, StoreTransaction } from '../store/contract.ts';
import type { Sealer } from '../store/sealer.ts';
import { intake, type Intermediate } from '../x509/intake.ts';
import type { SourceEntry } from './certificate-sources.ts';

/** All or nothing is one transaction, and holds all of it in memory. */
export const allOrNothingMax = 20_000;
const batchSize = 500;

export interface ImportOptions {
  readonly store: Store;
  readonly sealer: Sealer;
  readonly entries: AsyncIterable<SourceEntry>;
  readonly minRsaBits: number;
  readonly now: () => Milliseconds;
  /** For every certificate, besides its own. */
  readonly tags: readonly string[];
  /** Write what is fine, whatever else there is; otherwise everything or nothing. */
  readonly keepGoing: boolean;
  /** Check, and write nothing. */
  readonly dryRun: boolean;
  readonly refused: (problem: ImportProblem) => void;
  readonly progress: (summary: ImportSummary) => void;
}

export interface ImportProblem {
  readonly where: string;
  readonly code: string;
  /** Never key material. */
  readonly message: string;
}

export interface ImportSummary {
  readonly read: number;
  readonly written: number;
  /** Those that are there already: their names are bound to a certificate with the same fingerprint. */
  readonly unchanged: number;
  readonly refused: number;
}

interface Composed extends CertificateWithSnis {
  readonly where: string;
  readonly intermediates: readonly Intermediate[];
}

/**
 * Repeating it changes nothing. With `dryRun`, conflicts with what is stored are found too, by a rehearsal.
 * @throws INPUT_INVALID when all-or-nothing meets more than `allOrNothingMax`; what the store throws
 */
export async function importCertificates(options: ImportOptions): Promise<ImportSummary> {
  const { store, keepGoing, dryRun } = options;
  const count = { read: 0, written: 0, unchanged: 0, refused: 0 };
  const remembered = new Set<string>();
  const batch: Composed[] = [];
  for await (const entry of options.entries) {
    count.read += 1;
    const composed = compose(entry, options);
    if (composed === undefined) count.refused += 1;
    else batch.push(composed);
    if (count.read % batchSize === 0) options.progress(count);
    if (keepGoing && batch.length === batchSize) await write(batch.splice(0));
    if (!keepGoing && batch.length > allOrNothingMax) {
      throw new PortunusError('INPUT_INVALID', `There are more than ${allOrNothingMax} certificates.`, {
        hint: 'Import them with --keep-going, which writes them batch by batch, or in several parts.',
      });
    }
  }
  // With one of them refused nothing is written; what else there is against the others is told all the same.
  await write(batch);
  if (!keepGoing && !dryRun && count.refused > 0) count.written = 0;
  options.progress(count);
  return count;

  async function write(items: readonly Composed[]): Promise<void> {
    if (items.length === 0) return;
    const work = async (tx: StoreTransaction): Promise<Outcome> => {
      const outcome = await insertAll(tx, items, remembered);
      const complete = outcome.problems.length === 0 && count.refused === 0;
      if (!keepGoing && !dryRun && !complete) throw new NothingWritten(outcome);
      return outcome;
    };
    const outcome = await outcomeOf(work);
    for (const problem of outcome.problems) options.refused(problem);
    count.refused += outcome.problems.length;
    count.unchanged += outcome.unchanged;
    count.written += items.length - outcome.problems.length - outcome.unchanged;
    options.progress(count);
  }

  async function outcomeOf(work: (tx: StoreTransaction) => Promise<Outcome>): Promise<Outcome> {
    try {
      return dryRun ? await store.rehearse('import', work) : (await store.transact('import', work)).value;
    } catch (error) {
      if (error instanceof NothingWritten) return error.outcome;
      throw error;
    }
  }
}

interface Outcome {
  readonly problems: readonly ImportProblem[];
  readonly unchanged: number;
}

/** Undoes the transaction, and brings what was found out in it. */
class NothingWritten extends Error {
  readonly outcome: Outcome;

  constructor(outcome: Outcome) {
    super('something was refused');
    this.outcome = outcome;
  }
}

async function insertAll(tx: StoreTransaction, items: readonly Composed[], remembered: Set<string>): Promise<Outcome> {
  const problems: ImportProblem[] = [];
  let unchanged = 0;
  for (let at = 0; at < items.length; at += batchSize) {
    const batch = items.slice(at, at + batchSize);
    const errors = await tx.insertCertificates(batch);
    for (const [index, error] of errors.entries()) {
      const item = batch[index];
      if (error === undefined || item === undefined) continue;
      if (await isThere(tx, item)) unchanged += 1;
      else problems.push({ where: item.where, code: error.code, message: error.message });
    }
    const fresh = batch
      .flatMap(({ intermediates }) => intermediates)
      .filter(({ subjectKey, pem }) => {
        const key = `${subjectKey} ${pem}`;
        return !remembered.has(key) && remembered.add(key);
      });
    if (fresh.length > 0) await tx.rememberIntermediates(fresh);
  }
  return { problems, unchanged };
}

/** Every name is bound to a certificate with the same leaf. */
async function isThere(tx: StoreTransaction, { certificate, snis }: Composed): Promise<boolean> {
  const ids = new Set<string | undefined>(
    snis.length === 0
      ? [certificate.id]
      : await Promise.all(snis.map(async ({ name }) => (await tx.binding(name))?.certificateId)),
  );
  for (const id of ids) {
    const stored = id === undefined ? undefined : await tx.certificates.get(id);
    if (stored?.primary.fingerprint !== certificate.primary.fingerprint) return false;
  }
  return true;
}

/** @returns undefined when it is refused, which has been told */
function compose(entry: SourceEntry, options: ImportOptions): Composed | undefined {
  const { sealer, refused } = options;
  const { where } = entry;
  if (entry.kind === 'unreadable') {
    refused({ where, code: 'INPUT_INVALID', message: entry.message });
    return undefined;
  }
  const now = options.now();
  const tags = [...new Set([...options.tags, ...entry.tags])];
  if (!tags.every(isTag)) {
    refused({ where, code: 'INPUT_INVALID', message: 'a tag holds a comma, a slash or a control character' });
    return undefined;
  }
  const result = intake({ cert: entry.cert, key: entry.key, now, minRsaBits: options.minRsaBits });
  if (result.kind === 'refused') {
    for (const { code, message } of result.problems) refused({ where, code, message });
    return undefined;
  }
  const { key, keyType, ...facts } = result.pair;
  if (key === undefined || keyType === undefined) throw new TypeError('intake accepted a certificate without a key');
  const names = new Set<string>();
  for (const text of entry.snis ?? facts.dnsNames) {
    const parsed = parseHostName(text.trim());
    if (parsed.kind !== 'invalid') names.add(parsed.name);
    else if (entry.snis !== undefined) {
      refused({ where, code: 'INPUT_INVALID', message: `${JSON.stringify(text.slice(0, 256))} is no host name` });
      return undefined;
    }
  }
  const id = entry.id ?? randomUUID();
  const certificate: Certificate = {
    id,
    owner: { kind: 'admin' },
    primary: { ...facts, keyType, sealedKey: sealer.seal(key, facts.publicKeySha256) },
    alternative: null,
    tags,
    createdAt: now,
    updatedAt: now,
  };
  const snis = Array.from(names, (name): Sni => ({
    id: randomUUID(),
    name,
    certificateId: id,
    tags: [],
    createdAt: now,
    updatedAt: now,
  }));
  return { where, certificate, snis, intermediates: result.intermediates };
}
