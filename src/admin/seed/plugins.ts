// /plugins and /apis/{id or name}/plugins: the ssl plugin, on one API or global. Its certificate is a record of its own,
// owned by the plugin, and comes and goes with it.
import { newId } from '../../lib/new-id.ts';
import type { Api, Certificate, Plugin } from '../../model/entities.ts';
import type { PluginFilter, StoreReader, StoreTransaction } from '../../store/contract.ts';
import { decodeFields, isUuid, type Decoded } from '../bodies/decode-fields.ts';
import type { RequestBody } from '../bodies/fields.ts';
import { seedPhrases } from '../bodies/phrases.ts';
import type { AdminDeps, Answer, Call, Route } from '../contract.ts';
import { notFound } from '../not-found.ts';
import { inputInvalid, invalid, wholeEntity } from '../problems.ts';
import { write, type Written } from '../write.ts';
import { findApi } from './apis.ts';
import { composePlugin } from './compose-plugin.ts';
import { seedListOf, seedListQuery } from './list-schema.ts';
import { listSeed, type Filters } from './lists.ts';
import { pluginAnswer, pluginBody, pluginPatch, showPlugin, type PluginFields } from './plugin-fields.ts';
import { withTerminationWarning } from './termination-warning.ts';

const pluginQuery = seedListQuery(['id', 'name', 'api_id', 'enabled']);

/** Where a request found itself: everywhere, or under one API. */
type Scope = (reader: StoreReader, call: Call) => Promise<Api | undefined>;

export function pluginRoutes(deps: AdminDeps): readonly Route[] {
  const { store } = deps;
  return [
    ...routesUnder('/plugins', 'a plugin', async () => undefined),
    ...routesUnder('/apis/:api/plugins', 'a plugin of an API', (reader, call) =>
      findApi(reader, call.params['api'] ?? ''),
    ),
  ];

  function routesUnder(path: string, what: string, scope: Scope): readonly Route[] {
    const dialect = 'seed' as const;
    const one = `${path}/:plugin`;
    return [
      {
        method: 'GET',
        path,
        dialect,
        summary: `List ${what}`,
        query: pluginQuery,
        answers: { 200: seedListOf(pluginAnswer) },
        handle: (call) => list(call, scope),
      },
      {
        method: 'POST',
        path,
        dialect,
        summary: `Add ${what}`,
        body: pluginBody,
        answers: { 201: pluginAnswer },
        handle: (call) => create(call, scope),
      },
      {
        method: 'PUT',
        path,
        dialect,
        summary: `Add ${what}, or replace the one whose id the body has`,
        body: pluginBody,
        answers: { 200: pluginAnswer, 201: pluginAnswer },
        handle: (call) => put(call, scope),
      },
      {
        method: 'GET',
        path: one,
        dialect,
        summary: `Read ${what}`,
        answers: { 200: pluginAnswer },
        handle: (call) => read(call, scope),
      },
      {
        method: 'PATCH',
        path: one,
        dialect,
        summary: `Change some fields of ${what}`,
        body: pluginPatch,
        answers: { 200: pluginAnswer },
        handle: (call) => patch(call, scope),
      },
      {
        method: 'DELETE',
        path: one,
        dialect,
        summary: `Remove ${what}`,
        answers: { 204: null },
        handle: (call) => remove(call, scope),
      },
    ];
  }

  async function list(call: Call, scope: Scope): Promise<Answer> {
    const api = await scope(store, call);
    const path = api === undefined ? '/plugins' : `/apis/${encodeURIComponent(call.params['api'] ?? '')}/plugins`;
    const answer = await listSeed(
      call,
      path,
      store.plugins,
      filters,
      api === undefined ? {} : { apiId: api.id },
      (plugin) => plugin,
    );
    const body = answer.body as { readonly data: readonly Plugin[] };
    const data: object[] = [];
    for (const plugin of body.data) {
      // Gone between two reads: then the plugin is too.
      const certificate = await store.certificates.get(plugin.certificateId);
      if (certificate !== undefined) data.push(showPlugin(deps, plugin, certificate));
    }
    return { ...answer, body: { ...body, data } };
  }

  async function read(call: Call, scope: Scope): Promise<Answer> {
    const plugin = await findPlugin(store, call, await scope(store, call));
    return { status: 200, body: showPlugin(deps, plugin, await certificateOf(store, plugin)) };
  }

  function create(call: Call, scope: Scope): Promise<Answer> {
    const decoded = decodePlugin(call.body, pluginBody);
    return save(call, async (tx) => {
      const identity = { id: decoded.values.id ?? newId(), createdAt: deps.now() };
      const composed = await composePlugin(deps, tx, call, decoded, { identity, scope: await scope(tx, call) });
      await tx.certificates.insert(composed.certificate);
      await tx.plugins.insert(composed.plugin);
      return { ...composed, status: 201 };
    });
  }

  function put(call: Call, scope: Scope): Promise<Answer> {
    const decoded = decodePlugin(call.body, pluginBody);
    const { id } = decoded.values;
    if (id === undefined) return create(call, scope);
    return save(call, async (tx) => {
      const api = await scope(tx, call);
      const stored = await findPlugin(tx, { ...call, params: { ...call.params, plugin: id } }, api);
      return { ...(await replace(tx, call, decoded, stored, api, 'all fields')), status: 200 };
    });
  }

  function patch(call: Call, scope: Scope): Promise<Answer> {
    if (Object.keys(call.body.fields).length === 0) throw inputInvalid([invalid(wholeEntity, 'empty body')]);
    const decoded = decodePlugin(call.body, pluginPatch);
    return save(call, async (tx) => {
      const api = await scope(tx, call);
      const stored = await findPlugin(tx, call, api);
      const { id, name } = decoded.values;
      if (id !== undefined && id !== stored.id) throw inputInvalid([invalid('id', 'id cannot be updated')]);
      if (name !== undefined && name !== stored.name) throw inputInvalid([invalid('name', 'name cannot be updated')]);
      return { ...(await replace(tx, call, decoded, stored, api, 'sent fields')), status: 200 };
    });
  }

  async function replace(
    tx: StoreTransaction,
    call: Call,
    decoded: Decoded<PluginFields>,
    stored: Plugin,
    scope: Api | undefined,
    what: 'all fields' | 'sent fields',
  ) {
    const certificate = await certificateOf(tx, stored);
    const composed = await composePlugin(deps, tx, call, decoded, {
      identity: stored,
      scope,
      stored: { plugin: stored, certificate },
      replaces: what,
    });
    await tx.certificates.replace(composed.certificate);
    await tx.plugins.replace(composed.plugin);
    return composed;
  }

  type Saved = Omit<Written, 'body'> & { readonly plugin: Plugin; readonly certificate: Certificate };

  async function save(call: Call, work: (tx: StoreTransaction) => Promise<Saved>): Promise<Answer> {
    let believes = false;
    const answer = await write(deps, call, async (tx) => {
      const { plugin, certificate, ...written } = await work(tx);
      believes = plugin.config.acceptHttpIfAlreadyTerminated;
      return { ...written, body: showPlugin(deps, plugin, certificate) };
    });
    return withTerminationWarning(deps, answer, believes);
  }

  function remove(call: Call, scope: Scope): Promise<Answer> {
    return write(deps, call, async (tx) => {
      await tx.plugins.delete((await findPlugin(tx, call, await scope(tx, call))).id);
      return { status: 204 };
    });
  }
}

/** A plugin that Portunus does not have, or none, is the only thing said about a body that names it. @throws INPUT_INVALID */
export function decodePlugin(body: RequestBody, schema: typeof pluginBody | typeof pluginPatch): Decoded<PluginFields> {
  const { name, consumer_id: consumerId } = body.fields;
  if (schema === pluginBody && typeof name === 'string' && name.trim() !== '' && name.trim() !== 'ssl') {
    throw inputInvalid([invalid('config', `Plugin "${name.trim().slice(0, 100)}" not found`)]);
  }
  if (consumerId !== undefined && consumerId !== null && consumerId !== '') {
    throw inputInvalid([invalid(wholeEntity, 'No consumer can be configured for that plugin')]);
  }
  const decoded = decodeFields(schema, body, seedPhrases) as Decoded<PluginFields>;
  // Without a name nobody knows what else is missing.
  const unnamed = decoded.problems.filter(({ field }) => field === 'name');
  if (unnamed.length > 0) throw inputInvalid(unnamed);
  return decoded;
}

/** A plugin of another API is not there. @throws ENTITY_NOT_FOUND */
async function findPlugin(reader: StoreReader, call: Call, api: Api | undefined): Promise<Plugin> {
  const id = call.params['plugin'] ?? '';
  const plugin = isUuid(id) ? await reader.plugins.get(id.toLowerCase()) : undefined;
  if (plugin === undefined || (api !== undefined && plugin.apiId !== api.id)) throw notFound();
  return plugin;
}

async function certificateOf(reader: StoreReader, plugin: Plugin): Promise<Certificate> {
  const certificate = await reader.certificates.get(plugin.certificateId);
  // Gone between two reads: then the plugin is too.
  if (certificate === undefined) throw notFound();
  return certificate;
}

const filters: Filters<PluginFilter> = {
  id: (value) => (isUuid(value) ? { id: value.toLowerCase() } : undefined),
  name: (name) => ({ name }),
  api_id: (value) => (isUuid(value) ? { apiId: value.toLowerCase() } : undefined),
  enabled: (value) => (/^(true|false)$/.test(value) ? { enabled: value === 'true' } : undefined),
};
