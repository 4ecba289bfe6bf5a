// What a file holds besides certificates into one transaction, by the rules of the Admin API: here APIs and ssl plugins.
import { isDeepStrictEqual } from 'node:util';
import { decodeFields } from '../admin/bodies/decode-fields.ts';
import { nestJson, type RequestBody } from '../admin/bodies/fields.ts';
import { seedPhrases } from '../admin/bodies/phrases.ts';
import type { PairDeps } from '../admin/certificate-input.ts';
import { apiBody } from '../admin/seed/api-fields.ts';
import { refuseTaken } from '../admin/seed/apis.ts';
import { composeApi } from '../admin/seed/compose-api.ts';
import { composePlugin } from '../admin/seed/compose-plugin.ts';
import { pluginBody } from '../admin/seed/plugin-fields.ts';
import { decodePlugin } from '../admin/seed/plugins.ts';
import { isPortunusError, type PortunusError } from '../lib/errors.ts';
import { newId } from '../lib/new-id.ts';
import type { Api, Certificate, Plugin } from '../model/entities.ts';
import type { StoreTransaction } from '../store/contract.ts';
import { violation } from '../store/violation.ts';
import type { SourceItem } from './sources.ts';
import type { Outcome } from './write-certificates.ts';
import { writeCaCertificate, writeHost } from './write-policies.ts';

export type OtherItem = Extract<SourceItem, { readonly kind: 'other' }>;

/** Sections besides `certificates` that are taken. An API has its plugins in it; `plugins` are the global ones. */
export const sectionsTaken: readonly string[] = ['ca_certificates', 'apis', 'plugins', 'hosts'];

export interface ApiWriting {
  readonly deps: PairDeps;
  readonly force: boolean;
  readonly replace: boolean;
}

/** An API brings its plugins along. */
export function entitiesIn({ section, value }: OtherItem): number {
  return section === 'apis' && isObject(value) && Array.isArray(value['plugins']) ? 1 + value['plugins'].length : 1;
}

/** @throws what the store throws, but for what is wrong with an item: that is among the outcome's problems */
export async function writeOthers(
  tx: StoreTransaction,
  items: readonly OtherItem[],
  writing: ApiWriting,
  outcome: Outcome,
): Promise<void> {
  // Rules name authorities, wherever in the file those are.
  const authorities = items.filter(({ section }) => section === 'ca_certificates');
  for (const { where, value } of authorities)
    await attempt(where, () => writeCaCertificate(tx, bodyOf(value), writing));
  for (const { where, section, value } of items) {
    if (section === 'ca_certificates') continue;
    if (section === 'hosts') {
      await attempt(where, () => writeHost(tx, bodyOf(value), writing));
      continue;
    }
    if (section === 'plugins') {
      await attempt(where, () => writePlugin(tx, value, undefined, writing));
      continue;
    }
    const { plugins, ...fields } = isObject(value) ? value : {};
    const api = await attempt(where, () => writeApi(tx, isObject(value) ? fields : value, writing));
    if (api === undefined) continue;
    for (const [at, plugin] of (Array.isArray(plugins) ? plugins : []).entries()) {
      await attempt(`${where}, plugins[${at}]`, () => writePlugin(tx, plugin, api, writing));
    }
  }

  async function attempt<T>(where: string, write: () => Promise<Written<T>>): Promise<T | undefined> {
    try {
      const { how, value } = await write();
      outcome[how] += 1;
      return value;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      outcome.problems.push({ where, code: error.code, message: error.message });
      return undefined;
    }
  }
}

export interface Written<T> {
  readonly how: 'written' | 'replaced' | 'unchanged';
  readonly value: T;
}

async function writeApi(tx: StoreTransaction, value: unknown, { deps, replace }: ApiWriting): Promise<Written<Api>> {
  const body = bodyOf(value);
  const decoded = decodeFields(apiBody, body, seedPhrases);
  const { id = newId() } = decoded.values;
  const stored = await tx.apis.get(id);
  const api = composeApi(decoded, Object.keys(body.fields), { id, createdAt: stored?.createdAt ?? deps.now() });
  if (isDeepStrictEqual(api, stored)) return { how: 'unchanged', value: api };
  if (stored !== undefined && !replace) throw violation('api', 'id', id);
  await refuseTaken(tx, api);
  await tx.apis[stored === undefined ? 'insert' : 'replace'](api);
  return { how: stored === undefined ? 'written' : 'replaced', value: api };
}

async function writePlugin(
  tx: StoreTransaction,
  value: unknown,
  api: Api | undefined,
  { deps, force, replace }: ApiWriting,
): Promise<Written<Plugin>> {
  const decoded = decodePlugin(bodyOf(value), pluginBody);
  const { id = newId() } = decoded.values;
  const stored = await storedPlugin(tx, id);
  const identity = { id, createdAt: stored?.plugin.createdAt ?? deps.now() };
  const { plugin, certificate } = await composePlugin(deps, tx, { force }, decoded, {
    identity,
    scope: api,
    ...(stored !== undefined && { stored, replaces: 'all fields' }),
  });
  if (stored !== undefined && isSame({ plugin, certificate }, stored)) return { how: 'unchanged', value: plugin };
  if (stored !== undefined && !replace) throw violation('plugin', 'id', id);
  const how = stored === undefined ? 'insert' : 'replace';
  await tx.certificates[how](certificate);
  await tx.plugins[how](plugin);
  return { how: stored === undefined ? 'written' : 'replaced', value: plugin };
}

interface WithCertificate {
  readonly plugin: Plugin;
  readonly certificate: Certificate;
}

async function storedPlugin(tx: StoreTransaction, id: string): Promise<WithCertificate | undefined> {
  const plugin = await tx.plugins.get(id);
  const certificate = plugin && (await tx.certificates.get(plugin.certificateId));
  return plugin && certificate && { plugin, certificate };
}

function isSame(one: WithCertificate, other: WithCertificate): boolean {
  return (
    isDeepStrictEqual(one.plugin, other.plugin) &&
    one.certificate.primary.fingerprint === other.certificate.primary.fingerprint
  );
}

function bodyOf(value: unknown): RequestBody {
  return nestJson(isObject(value) ? value : {});
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Of the item, not of the store. */
function isRefusal(error: unknown): error is PortunusError {
  return isPortunusError(error) && error.status >= 400 && error.status < 500;
}
