// One certificate to import, from what its source holds to what the store keeps: parsed, through intake as by any other
// door, its names in normal form, its keys sealed. Runs on whatever thread; the plain key goes no further than this file.
import { createHash } from 'node:crypto';
import { newId } from '../lib/new-id.ts';
import type { Certificate, KeyPair, Milliseconds, Sni } from '../model/entities.ts';
import { publicRoots } from '../admin/public-roots.ts';
import { parseHostName } from '../model/host-name.ts';
import { isTag } from '../model/tag.ts';
import type { Sealer } from '../store/sealer.ts';
import { intakeWithKnown, type IntermediatesOf } from '../x509/intake-with-known.ts';
import type { Intermediate } from '../x509/intake.ts';
import { readSealedPlaceholder } from '../x509/sealed-placeholder.ts';
import { parseYaml } from './deck-items.ts';
import type { SourceItem } from './sources.ts';

/** What may hold a certificate. */
export type CertificateItem = Extract<SourceItem, { readonly kind: 'text' | 'value' | 'pair' }>;

export interface ComposeOptions {
  readonly sealer: Sealer;
  readonly now: Milliseconds;
  readonly minRsaBits: number;
  /** Take expired certificates too. */
  readonly force: boolean;
  /** Opens what is encrypted and does not bring its own. */
  readonly passphrase: string | undefined;
  /** For every certificate, besides its own. */
  readonly tags: readonly string[];
  readonly intermediatesOf: IntermediatesOf;
}

export interface ImportProblem {
  readonly where: string;
  readonly code: string;
  /** Never key material. */
  readonly message: string;
}

export type Composed =
  | ComposedCertificate
  | { readonly kind: 'refused'; readonly problems: readonly [ImportProblem, ...ImportProblem[]] };

export interface ComposedCertificate {
  readonly kind: 'certificate';
  readonly where: string;
  readonly certificate: Certificate;
  readonly snis: readonly Sni[];
  /** Its keys are only named (x509/sealed-placeholder): it can be found to be stored, and not be written. */
  readonly keyless: boolean;
  readonly intermediates: readonly Intermediate[];
  /** As intake tells it, of both pairs. */
  readonly missingIssuers: readonly string[];
}

interface Entry {
  readonly cert: string | Uint8Array;
  readonly key: string | Uint8Array | undefined;
  readonly certAlt: string | undefined;
  readonly keyAlt: string | undefined;
  readonly passphrase?: string | undefined;
  readonly passphraseAlt?: string | undefined;
  /** Undefined: those of the certificate. */
  readonly snis: readonly NamedSni[] | undefined;
  readonly tags: readonly string[];
  readonly id: string | undefined;
}

interface NamedSni {
  readonly name: string;
  readonly id?: string | undefined;
  readonly tags?: readonly string[] | undefined;
}

/** Never throws for what the item holds. */
export async function composeEntry(item: CertificateItem, options: ComposeOptions): Promise<Composed> {
  const { where } = item;
  const { now, sealer } = options;
  try {
    const entry = readEntry(item);
    const tags = [...new Set([...options.tags, ...entry.tags])];
    const snis = entry.snis?.map((sni) => ({ ...sni, name: hostNameOf(sni.name) }));
    if (![...tags, ...(snis ?? []).flatMap((sni) => sni.tags ?? [])].every(isTag)) {
      throw new Refusal('a tag holds a comma, a slash or a control character');
    }
    const primary = await pairOf(entry.cert, entry.key, entry.passphrase, options);
    const alternative =
      entry.certAlt === undefined ? undefined : await pairOf(entry.certAlt, entry.keyAlt, entry.passphraseAlt, options);
    if (entry.certAlt === undefined && entry.keyAlt !== undefined) throw new Refusal('has key_alt and no cert_alt');
    if (alternative?.pair.keyType === primary.pair.keyType) {
      throw new Refusal('cert and cert_alt have keys of the same type; one RSA and one ECDSA, say, belong together');
    }
    const names = uniqueByName(snis ?? serverNames(primary.pair.dnsNames).map((name): NamedSni => ({ name })));
    const id = entry.id ?? (names.length === 0 ? idOf(primary.pair, alternative?.pair) : newId());
    const both = [primary, ...(alternative === undefined ? [] : [alternative])];
    return {
      kind: 'certificate',
      where,
      certificate: {
        id,
        owner: { kind: 'admin' },
        primary: seal(primary, sealer),
        alternative: alternative === undefined ? null : seal(alternative, sealer),
        tags,
        createdAt: now,
        updatedAt: now,
      },
      snis: names.map((sni) => ({
        id: sni.id ?? newId(),
        name: sni.name,
        certificateId: id,
        tags: sni.tags ?? [],
        createdAt: now,
        updatedAt: now,
      })),
      keyless: both.some(({ key }) => key === undefined),
      intermediates: both.flatMap(({ intermediates }) => intermediates),
      missingIssuers: both.flatMap(({ missingIssuer }) => missingIssuer ?? []),
    };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const [first, ...others] = error.problems;
    return { kind: 'refused', problems: [{ where, ...first }, ...others.map((problem) => ({ where, ...problem }))] };
  }
}

type Problem = Omit<ImportProblem, 'where'>;

/** Never leaves this file. */
class Refusal extends Error {
  readonly problems: readonly [Problem, ...Problem[]];

  constructor(first: string | Problem, ...others: readonly Problem[]) {
    super('refused');
    this.problems = [typeof first === 'string' ? { code: 'INPUT_INVALID', message: first } : first, ...others];
  }
}

interface AcceptedPair {
  readonly pair: Omit<KeyPair, 'sealedKey'>;
  readonly key: string | undefined;
  readonly intermediates: readonly Intermediate[];
  readonly missingIssuer: string | undefined;
}

async function pairOf(
  cert: string | Uint8Array,
  key: string | Uint8Array | undefined,
  passphrase: string | undefined,
  options: ComposeOptions,
): Promise<AcceptedPair> {
  const placeholder = typeof key === 'string' ? readSealedPlaceholder(key) : undefined;
  const { now, minRsaBits, force, intermediatesOf } = options;
  const result = await intakeWithKnown(
    {
      cert,
      key: placeholder === undefined ? key : undefined,
      passphrase: passphrase ?? options.passphrase,
      keep: placeholder === undefined ? undefined : { publicKeySha256: placeholder },
      now,
      minRsaBits,
      force,
      roots: publicRoots,
    },
    intermediatesOf,
  );
  if (result.kind === 'refused') {
    const [first = 'cannot be used', ...others] = result.problems.map(({ code, message }): Problem => ({
      code,
      message,
    }));
    throw new Refusal(first, ...others);
  }
  const { key: plain, keyType, ...facts } = result.pair;
  if (keyType === undefined) throw new TypeError('intake accepted a certificate whose key has no type');
  const { intermediates, missingIssuer } = result;
  return { pair: { ...facts, keyType }, key: plain, intermediates, missingIssuer };
}

function seal({ pair, key }: AcceptedPair, sealer: Sealer): KeyPair {
  return { ...pair, sealedKey: key === undefined ? '' : sealer.seal(key, pair.publicKeySha256) };
}

function hostNameOf(text: string): string {
  const parsed = parseHostName(text.trim());
  if (parsed.kind === 'invalid') throw new Refusal(`${JSON.stringify(text.slice(0, 256))} is no host name`);
  return parsed.name;
}

/** A certificate may hold names that no client sends, such as addresses. */
function serverNames(dnsNames: readonly string[]): readonly string[] {
  return dnsNames.flatMap((text) => {
    const parsed = parseHostName(text);
    return parsed.kind === 'invalid' ? [] : [parsed.name];
  });
}

function uniqueByName(snis: readonly NamedSni[]): readonly NamedSni[] {
  return [...new Map(snis.toReversed().map((sni) => [sni.name, sni])).values()].toReversed();
}

/** Nothing but its id tells a certificate without names: the same one gets the same id again (RFC 9562, section 5.8). */
function idOf(...pairs: readonly (Pick<KeyPair, 'fingerprint'> | undefined)[]): string {
  const text = pairs.map((pair) => pair?.fingerprint).join(' ');
  const bytes = createHash('sha256').update(`portunus import ${text}`).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

function readEntry(item: CertificateItem): Entry {
  if (item.kind === 'pair') {
    const { cert, key } = item;
    return { cert, key, certAlt: undefined, keyAlt: undefined, snis: undefined, tags: [], id: undefined };
  }
  if (item.kind === 'value') return readFields(item.value, []);
  return item.format === 'json' ? readFields(parseJson(item.text), undefined) : readFields(parseItem(item.text), []);
}

/** What a text holds may be a key: the parser's words are not repeated. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal('is not JSON');
  }
}

function parseItem(text: string): unknown {
  const parsed = parseYaml(text)?.value;
  if (!Array.isArray(parsed)) throw new Refusal('is not YAML that can be read by itself');
  return parsed[0];
}

/** @param unsaid the SNIs where the entry does not name any */
function readFields(value: unknown, unsaid: readonly NamedSni[] | undefined): Entry {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Refusal('is not an object');
  const {
    cert,
    key,
    cert_alt,
    key_alt,
    passphrase,
    passphrase_alt,
    snis,
    tags,
    id,
    created_at: _made,
    updated_at: _changed,
    expires_at: _expires,
    ...others
  } = value as Readonly<Record<string, unknown>>;
  const [other] = Object.keys(others);
  if (other !== undefined) {
    const which = /^[a-z_]{1,32}$/.test(other) ? `: ${other}` : '';
    throw new Refusal(
      `has a field besides cert, key, passphrase, cert_alt, key_alt, passphrase_alt, snis, tags and id${which}`,
    );
  }
  return {
    cert: text(cert, 'cert') ?? missing('cert'),
    key: text(key, 'key'),
    certAlt: text(cert_alt, 'cert_alt'),
    keyAlt: text(key_alt, 'key_alt'),
    passphrase: text(passphrase, 'passphrase'),
    passphraseAlt: text(passphrase_alt, 'passphrase_alt'),
    snis: list(snis, 'snis')?.map(readSni) ?? unsaid,
    tags: texts(tags, 'tags'),
    id: uuid(id, 'id'),
  };
}

function readSni(value: unknown): NamedSni {
  if (typeof value === 'string') return { name: value };
  if (typeof value !== 'object' || value === null || !('name' in value) || typeof value.name !== 'string') {
    throw new Refusal('has an SNI that is no name');
  }
  const { name, id, tags } = value as { readonly name: string; readonly id?: unknown; readonly tags?: unknown };
  return { name, id: uuid(id, 'id of an SNI'), tags: texts(tags, 'tags of an SNI') };
}

function text(value: unknown, field: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string') throw new Refusal(`${field} is no text`);
  return value;
}

function missing(field: string): never {
  throw new Refusal(`has no ${field}`);
}

function list(value: unknown, field: string): readonly unknown[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value)) throw new Refusal(`${field} is no list`);
  return value;
}

function texts(value: unknown, field: string): readonly string[] {
  return (list(value, field) ?? []).map((each) => text(each, field) ?? missing(field));
}

const uuidForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

function uuid(value: unknown, field: string): string | undefined {
  const found = text(value, field);
  if (found !== undefined && !uuidForm.test(found)) throw new Refusal(`the ${field} is no UUID`);
  return found?.toLowerCase();
}
