// A certificate and its key as a request sends them, to a pair as the store keeps it: intake, the intermediates that the
// store knows, sealing. Plain keys go no further than this file.
import type { KeyPair } from '../model/entities.ts';
import type { StoreTransaction } from '../store/contract.ts';
import type { Finding } from '../x509/findings.ts';
import { intakeWithKnown } from '../x509/intake-with-known.ts';
import { mayHoldKey } from '../x509/material.ts';
import { readSealedPlaceholder, sealedPlaceholder } from '../x509/sealed-placeholder.ts';
import type { AdminConfig, AdminDeps } from './contract.ts';
import { invalid, type Problem } from './problems.ts';
import { publicRoots } from './public-roots.ts';
import { noNotices, type Notices } from './write.ts';

/** What taking a pair in, or showing it, needs. */
export interface PairDeps extends Pick<AdminDeps, 'sealer' | 'now'> {
  readonly config: Pick<AdminConfig, 'sslMinRsaBits' | 'adminPrivateKeys'>;
}

export interface PairInput {
  readonly cert: string | Uint8Array | undefined;
  readonly key: string | Uint8Array | undefined;
  readonly passphrase: string | undefined;
  /** The pair that is stored now; what was not sent is taken from it. */
  readonly stored: KeyPair | undefined;
  /** Host names the certificate will serve. */
  readonly expectedNames: readonly string[];
  readonly force: boolean;
}

export type AcceptedPair =
  /** `fresh`: it came with the request. */
  | { readonly kind: 'accepted'; readonly pair: KeyPair; readonly notices: Notices; readonly fresh: boolean }
  /** `field` is `cert`, `key` or `passphrase`. */
  | { readonly kind: 'refused'; readonly problems: readonly Problem[] };

/** Remembers the intermediates of what it accepts, in the same transaction. */
export async function acceptPair(deps: PairDeps, tx: StoreTransaction, input: PairInput): Promise<AcceptedPair> {
  const { stored } = input;
  const placeholder = typeof input.key === 'string' ? readSealedPlaceholder(input.key) : undefined;
  const key = placeholder === undefined ? input.key : undefined;
  if (placeholder !== undefined && placeholder !== stored?.publicKeySha256) {
    const hint = 'A sealed key stands for the key that is stored in the same place. Send the private key itself.';
    return refused([invalid('key', 'this sealed key is not the one that is stored here', hint)]);
  }
  if (stored !== undefined && key === undefined && (input.cert === undefined || sameText(input.cert, stored.chain))) {
    return { kind: 'accepted', pair: stored, notices: noNotices, fresh: false };
  }
  const keeps = key === undefined && stored !== undefined && !holdsKey(input.cert);
  const result = await intakeWithKnown(
    {
      cert: input.cert ?? stored?.chain ?? '',
      key,
      passphrase: input.passphrase,
      now: deps.now(),
      minRsaBits: deps.config.sslMinRsaBits,
      force: input.force,
      keep: keeps ? { publicKeySha256: stored.publicKeySha256 } : undefined,
      expectedNames: input.expectedNames,
      replaces: stored,
      roots: publicRoots,
    },
    (subjectKey) => tx.intermediates(subjectKey),
  );
  if (result.kind === 'refused') return refused(result.problems.map(toProblem));
  await tx.rememberIntermediates(result.intermediates);
  const { key: plain, keyType, ...facts } = result.pair;
  const sealedKey = plain === undefined ? stored?.sealedKey : deps.sealer.seal(plain, facts.publicKeySha256);
  if (sealedKey === undefined || keyType === undefined)
    throw new TypeError('intake accepted a certificate without a key');
  return {
    kind: 'accepted',
    pair: { ...facts, keyType, sealedKey },
    notices: { warnings: result.warnings, repairs: result.repairs },
    fresh: true,
  };
}

/** The key as an answer shows it: its placeholder, or itself where the operator chose so. */
export function shownKey(deps: PairDeps, pair: KeyPair): string {
  return deps.config.adminPrivateKeys === 'visible'
    ? deps.sealer.open(pair.sealedKey, pair.publicKeySha256).toString('utf8')
    : sealedPlaceholder(pair.publicKeySha256);
}

/** A file with both: its key is the one that is meant, not the stored one. */
export function holdsKey(cert: string | Uint8Array | undefined): boolean {
  return cert !== undefined && mayHoldKey(cert);
}

function sameText(cert: string | Uint8Array, chain: string): boolean {
  return typeof cert === 'string' && cert.replaceAll('\r\n', '\n').trim() === chain.trim();
}

function toProblem({ field, message, code, hint }: Finding): Problem {
  return { field, message, code: code as Problem['code'], hint };
}

function refused(problems: readonly Problem[]): AcceptedPair {
  return { kind: 'refused', problems };
}
