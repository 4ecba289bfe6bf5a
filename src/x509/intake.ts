// The one door for certificates: bytes in, a checked certificate or all its problems out. Pure: the time and what is known
// of other chains are handed in, nothing is stored, and the plain key leaves only in the result.
import { factsOf, parseCertificate, type Certificate, type CertificateFacts } from './certificate.ts';
import { assembleChain, type Chain } from './chain.ts';
import { chooseLeaf } from './choose-leaf.ts';
import { finding, quote, type Finding } from './findings.ts';
import { judgeChain, judgeLeaf, judgeStrength, type Circumstances, type Judgement } from './judge-leaf.ts';
import { scanPem } from './pem.ts';
import type { PrivateKeyResult } from './private-key.ts';
import type { RootsOf } from './roots.ts';
import { readSources, type Sources } from './sources.ts';

/** Characters of an intermediate's PEM that is remembered for others. Those of public CAs have some 2,000. */
const rememberedMaxLength = 16_384;
/** Known intermediates that are looked at. */
export const knownMaxCertificates = 200;

export interface IntakeInput {
  readonly cert: string | Uint8Array;
  /** May be left out when `cert` holds the key too. One that is given wins over that. */
  readonly key: string | Uint8Array | undefined;
  /** For an encrypted key. */
  readonly passphrase?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly minRsaBits: number;
  /** Take an expired certificate, with a warning. */
  readonly force?: boolean | undefined;
  /** The stored key stays, and `key` is not looked at: the leaf must have the public key with this hash. */
  readonly keep?: { readonly publicKeySha256: string } | undefined;
  /** PEM of intermediates of other chains, to fill gaps with. */
  readonly knownIntermediates?: readonly string[] | undefined;
  /** Roots that clients have: of what fits among the known intermediates, what leads to one of them is taken. Default: none. */
  readonly roots?: RootsOf | undefined;
  /** The names it will serve. */
  readonly expectedNames?: readonly string[] | undefined;
  readonly replaces?: { readonly notAfter: number; readonly dnsNames: readonly string[] } | undefined;
}

export interface CheckedPair extends CertificateFacts {
  /** PEM, leaf first, root left out, each block ended by a newline. */
  readonly chain: string;
  /** PKCS#8 PEM, plain; undefined when the stored key is kept. */
  readonly key: string | undefined;
}

export interface Intermediate {
  readonly subjectKey: string;
  readonly pem: string;
  /** It leads to one of `roots`: nobody else than its CA can have made it. */
  readonly isAnchored: boolean;
}

export type IntakeResult =
  | {
      readonly kind: 'accepted';
      readonly pair: CheckedPair;
      readonly warnings: readonly Finding[];
      readonly repairs: readonly Finding[];
      /** Those of the given chain, to be remembered for others. */
      readonly intermediates: readonly Intermediate[];
      /**
       * The `subjectKey` of the issuer at which the chain ends without a root: often just the root. Who knows
       * certificates of that subject calls again with them as `knownIntermediates`.
       */
      readonly missingIssuer?: string;
    }
  | { readonly kind: 'refused'; readonly problems: readonly Finding[] };

/** Never throws for any input. Messages hold no key material. */
export function intake(input: IntakeInput): IntakeResult {
  return judge(readInput(input), input);
}

/** What there is in the input, keys opened: the costly part of intake. What is made of it depends on what else is known. */
export function readInput(input: Pick<IntakeInput, 'cert' | 'key' | 'passphrase' | 'keep'>): Sources {
  return readSources({ ...input, withoutKey: input.keep !== undefined });
}

/** The rest of `intake`. */
export function judge(sources: Sources, input: Omit<IntakeInput, 'cert' | 'key'>): IntakeResult {
  const key = chooseKey(sources);
  const choice = chooseLeaf(sources.certificates, {
    hashes: input.keep === undefined ? readableHashes(sources) : [input.keep.publicKeySha256.toLowerCase()],
    source: input.keep === undefined ? 'given' : 'stored',
    field: sources.keyField,
  });
  const chain = choice.leaf && chainOf(choice.leaf, sources, input);
  const judgements = [
    judgeKeys(key, choice.leaf, sources.keyField, input.minRsaBits),
    ...(chain === undefined ? [] : judgeCertificates(chain, circumstancesOf(input))),
  ];
  const problems = [
    ...sources.problems,
    ...(key?.kind === 'refused' ? [key.problem] : []),
    ...choice.problems,
    ...judgements.flatMap((judgement) => judgement.problems),
  ];
  const facts = choice.leaf && factsOf(choice.leaf);
  if (problems.length > 0 || chain === undefined || facts === undefined) return { kind: 'refused', problems };
  return {
    kind: 'accepted',
    pair: { ...facts, chain: toPem(chain.certificates), key: key?.kind === 'key' ? key.pem : undefined },
    warnings: judgements.flatMap((judgement) => judgement.warnings),
    repairs: [...sources.repairs, ...keyRepairs(key, sources, input), ...chainRepairs(chain, sources.certificates)],
    intermediates: rememberable(chain),
    ...(chain.missingIssuer === undefined ? {} : { missingIssuer: chain.missingIssuer }),
  };
}

/** The key that is some certificate's; else the first that could be read; else the first. */
function chooseKey({ keys, certificates }: Sources): PrivateKeyResult | undefined {
  const hashes = new Set(certificates.map((one) => one.publicKey?.sha256));
  return (
    keys.find((key) => key.kind === 'key' && hashes.has(key.facts.sha256)) ??
    keys.find((key) => key.kind === 'key') ??
    keys[0]
  );
}

function readableHashes({ keys }: Sources): readonly string[] {
  return keys.flatMap((key) => (key.kind === 'key' ? [key.facts.sha256] : []));
}

function circumstancesOf(input: Omit<IntakeInput, 'cert' | 'key'>): Circumstances {
  const { now, minRsaBits, force = false, expectedNames = [], replaces } = input;
  return { now, minRsaBits, force, expectedNames, replaces };
}

function chainOf(leaf: Certificate, { certificates }: Sources, input: Omit<IntakeInput, 'cert' | 'key'>): Chain {
  const known = parseKnown(input.knownIntermediates ?? []);
  return assembleChain({
    leaf,
    given: certificates.filter((one) => one !== leaf),
    known,
    roots: input.roots ?? noRoots,
    now: input.now,
  });
}

const noRoots: RootsOf = () => [];

function parseKnown(pems: readonly string[]): readonly Certificate[] {
  const blocks = pems.slice(0, knownMaxCertificates).flatMap((pem) => scanPem(pem).blocks);
  return blocks.flatMap((block) => (block.kind === 'content' ? (parseCertificate(block.bytes) ?? []) : []));
}

/** Said of the key, and of the leaf's own only where that is another one or there is none to look at. */
function judgeKeys(
  key: PrivateKeyResult | undefined,
  leaf: Certificate | undefined,
  field: Sources['keyField'],
  minRsaBits: number,
): Judgement {
  const facts = key?.kind === 'key' ? key.facts : undefined;
  const whose = `The key of the certificate ${quote(leaf?.subject ?? '')}`;
  const both = [
    ...(facts === undefined ? [] : [judgeStrength(facts, 'The private key', field, minRsaBits)]),
    ...(leaf === undefined || facts?.sha256 === leaf.publicKey?.sha256
      ? []
      : [judgeStrength(leaf.publicKey, whose, 'cert', minRsaBits)]),
  ];
  return { problems: both.flatMap((one) => one.problems), warnings: both.flatMap((one) => one.warnings) };
}

function judgeCertificates(chain: Chain, circumstances: Circumstances): readonly Judgement[] {
  const [leaf] = chain.certificates;
  return [...(leaf === undefined ? [] : [judgeLeaf(leaf, circumstances)]), judgeChain(chain, circumstances)];
}

function keyRepairs(
  key: PrivateKeyResult | undefined,
  sources: Sources,
  input: Pick<IntakeInput, 'passphrase'>,
): readonly Finding[] {
  const repairs: Finding[] = [];
  const others = sources.keys.length - 1;
  if (others > 0) {
    const message = `${others} private key(s) that do not belong to the certificate were left out.`;
    repairs.push(finding('KEY_EXTRA_DROPPED', sources.keyField, message));
  }
  if (key?.kind === 'key' && !key.wasEncrypted && (input.passphrase ?? '') !== '') {
    const message = 'The private key is not encrypted; the passphrase was not used.';
    repairs.push(finding('PASSPHRASE_UNUSED', 'passphrase', message));
  }
  return repairs;
}

function chainRepairs(chain: Chain, sent: readonly Certificate[]): readonly Finding[] {
  const repairs: Finding[] = [];
  const say = (code: Finding['code'], message: string) => repairs.push(finding(code, 'cert', message));
  const kept = chain.certificates.filter((one) => sent.includes(one));
  const inOrder = sent.filter((one) => kept.includes(one)).every((one, index) => one === kept[index]);
  if (!inOrder)
    say('CHAIN_REORDERED', 'The certificates were put in order: server certificate first, then each issuer.');
  if (chain.roots.length > 0) say('CHAIN_ROOT_DROPPED', `The root was left out: ${subjects(chain.roots)}.`);
  if (chain.unrelated.length > 0) {
    say('CHAIN_UNRELATED_DROPPED', `Left out, because they are no part of this chain: ${subjects(chain.unrelated)}.`);
  }
  if (chain.filled.length > 0) {
    say('CHAIN_COMPLETED', `Intermediates known from other chains were added: ${subjects(chain.filled)}.`);
  }
  return repairs;
}

function subjects(certificates: readonly Certificate[]): string {
  const shown = certificates.slice(0, 5).map((one) => quote(one.subject));
  return certificates.length > 5 ? `${shown.join(', ')} and ${certificates.length - 5} more` : shown.join(', ');
}

function rememberable(chain: Chain): readonly Intermediate[] {
  const own = chain.certificates.slice(1).filter((one) => one.isAuthority && !chain.filled.includes(one));
  return own
    .filter(({ pem }) => pem.length <= rememberedMaxLength)
    .map((one) => ({ subjectKey: one.subjectKey, pem: one.pem, isAnchored: chain.anchored.includes(one) }));
}

function toPem(certificates: readonly Certificate[]): string {
  return certificates.map((one) => one.pem).join('');
}
