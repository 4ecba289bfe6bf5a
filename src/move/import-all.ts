// Everything of a source into a store: certificates composed on all cores and written in batches, then whatever else there is.
import { PortunusError } from '../lib/errors.ts';
import type { Milliseconds } from '../model/entities.ts';
import type { Store, StoreTransaction } from '../store/contract.ts';
import type { Keyring } from '../store/keyring.ts';
import { createSealer } from '../store/sealing.ts';
import { composeAll } from './compose-all.ts';
import type { ComposedCertificate, ImportProblem } from './compose-entry.ts';
import { startComposeThreads } from './compose-threads.ts';
import { createIssuers } from './issuers.ts';
import type { SourceItem } from './sources.ts';
import { entitiesIn, sectionsTaken, writeOthers, type OtherItem } from './write-apis.ts';
import { batchSize, createCertificateWriter, emptyOutcome, type Outcome } from './write-certificates.ts';

/** All or nothing is one transaction, and holds all of it in memory. */
export const allOrNothingMax = 20_000;
/** Whatever else than certificates of one file. */
export const othersMax = 20_000;

export interface ImportOptions {
  readonly store: Store;
  readonly keyring: Keyring;
  readonly items: AsyncIterable<SourceItem>;
  readonly minRsaBits: number;
  readonly now: () => Milliseconds;
  /** For every certificate, besides its own. */
  readonly tags: readonly string[];
  /** Write what is fine, whatever else there is; otherwise everything or nothing. */
  readonly keepGoing: boolean;
  /** Certificates that hold the names, or the id, of one that comes are replaced by it. */
  readonly replace: boolean;
  /** Take expired certificates too. */
  readonly force: boolean;
  /** Opens what is encrypted and does not bring its own. */
  readonly passphrase?: string | undefined;
  /** Check, and write nothing. */
  readonly dryRun: boolean;
  readonly refused: (problem: ImportProblem) => void;
  /** Sections of a file in decK's format that Portunus has no place for, with how much they hold. */
  readonly leftOut: (section: string, items: number) => void;
  readonly progress: (summary: ImportSummary) => void;
}

export interface ImportSummary {
  readonly read: number;
  readonly written: number;
  readonly replaced: number;
  /** Those that are there already: their names are bound to a certificate with the same fingerprint. */
  readonly unchanged: number;
  readonly refused: number;
}

/**
 * Repeating it changes nothing. With `dryRun`, conflicts are found too: with what is stored, and with one another.
 * @throws INPUT_INVALID when there are more than `allOrNothingMax` (all or nothing) or `othersMax`; what the store throws
 */
export async function importAll(options: ImportOptions): Promise<ImportSummary> {
  const { store, keyring, minRsaBits, now, tags, keepGoing, replace, force, passphrase, dryRun } = options;
  const count = { read: 0, written: 0, replaced: 0, unchanged: 0, refused: 0 };
  const leftOut = new Map<string, number>();
  const certificates: ComposedCertificate[] = [];
  const others: OtherItem[] = [];
  const sealer = createSealer(keyring);
  const writer = createCertificateWriter(sealer, replace, dryRun);
  const apiWriting = {
    deps: { sealer, now, config: { sslMinRsaBits: minRsaBits, adminPrivateKeys: 'sealed' } },
    force,
    replace,
  } as const;

  await using threads = startComposeThreads({ keyring, minRsaBits, force, passphrase, tags });
  const issuers = createIssuers(store, threads);
  for await (const item of composeAll(options.items, threads, issuers, now)) {
    if (item.kind === 'other' && !sectionsTaken.includes(item.section)) {
      if (!item.section.startsWith('_')) leftOut.set(item.section, (leftOut.get(item.section) ?? 0) + 1);
      continue;
    }
    count.read += item.kind === 'other' ? entitiesIn(item) : 1;
    if (item.kind === 'certificate') certificates.push(item);
    else if (item.kind === 'other') others.push(item);
    else if (item.kind === 'refused') refuse(item.problems);
    else refuse([{ where: item.where, code: 'INPUT_INVALID', message: item.message }]);
    if (count.read % batchSize === 0) options.progress(count);
    if (others.length > othersMax)
      throw tooMany(othersMax, 'APIs, plugins, hosts and CA certificates', 'Import them in several parts.');
    if (keepGoing && certificates.length === batchSize) await writeSome(certificates.splice(0), []);
    if (!keepGoing && certificates.length > allOrNothingMax) {
      const hint = 'Import them with --keep-going, which writes them batch by batch, or in several parts.';
      throw tooMany(allOrNothingMax, 'certificates', hint);
    }
  }
  for (const [section, items] of leftOut) options.leftOut(section, items);
  // With one of them refused nothing is written; what else there is against the others is told all the same.
  await writeSome(certificates, others);
  if (!keepGoing && !dryRun && count.refused > 0) Object.assign(count, { written: 0, replaced: 0 });
  options.progress(count);
  return count;

  function refuse(problems: readonly ImportProblem[]): void {
    count.refused += 1;
    for (const problem of problems) options.refused(problem);
  }

  async function writeSome(items: readonly ComposedCertificate[], apis: readonly OtherItem[]): Promise<void> {
    if (items.length + apis.length === 0) return;
    const outcome = await outcomeOf(async (tx) => {
      const found = emptyOutcome();
      await writer.write(tx, items, found);
      await writeOthers(tx, apis, apiWriting, found);
      const complete = found.problems.length === 0 && count.refused === 0;
      if (!keepGoing && !dryRun && !complete) throw new NothingWritten(found);
      return found;
    });
    for (const problem of outcome.problems) refuse([problem]);
    count.unchanged += outcome.unchanged;
    count.written += outcome.written;
    count.replaced += outcome.replaced;
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

/** Undoes the transaction, and brings what was found out in it. */
class NothingWritten extends Error {
  readonly outcome: Outcome;

  constructor(outcome: Outcome) {
    super('something was refused');
    this.outcome = outcome;
  }
}

function tooMany(max: number, what: string, hint: string): PortunusError {
  return new PortunusError('INPUT_INVALID', `There are more than ${max} ${what}.`, { hint });
}
