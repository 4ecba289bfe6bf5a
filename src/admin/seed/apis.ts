// /apis and /apis/{id or name}, as Kong 0.9 to 0.12 had them.
import { Type } from 'typebox';
import { PortunusError } from '../../lib/errors.ts';
import { newId } from '../../lib/new-id.ts';
import type { Api } from '../../model/entities.ts';
import { parseHostName } from '../../model/host-name.ts';
import type { ApiFilter, StoreReader } from '../../store/contract.ts';
import { pageSizeMax } from '../../store/contract.ts';
import { decodeFields, isUuid } from '../bodies/decode-fields.ts';
import { seedPhrases } from '../bodies/phrases.ts';
import type { AdminDeps, Answer, Call, Route } from '../contract.ts';
import { coverageNotices } from '../coverage.ts';
import { notFound } from '../not-found.ts';
import { ruleNotices } from '../policies/rule-notices.ts';
import { inputInvalid, invalid, wholeEntity } from '../problems.ts';
import { joinNotices, noNotices, write, type Notices, type Written } from '../write.ts';
import { apiBody, apiPatch, showApi } from './api-fields.ts';
import { composeApi } from './compose-api.ts';
import { listSeed, type Filters } from './lists.ts';
import { seedListOf, seedListQuery } from './list-schema.ts';
import { withTerminationWarning } from './termination-warning.ts';

const apiQuery = seedListQuery(['id', 'name', 'request_host', 'request_path', 'hosts', 'uris', 'upstream_url']);
const apiAnswer = Type.Partial(apiBody);

export function apiRoutes(deps: AdminDeps): readonly Route[] {
  const { store } = deps;
  const dialect = 'seed' as const;
  const one = '/apis/:api';
  return [
    {
      method: 'GET',
      path: '/apis',
      dialect,
      summary: 'List APIs',
      query: apiQuery,
      answers: { 200: seedListOf(apiAnswer) },
      handle: (call) => listSeed(call, '/apis', store.apis, filters, {}, showApi),
    },
    {
      method: 'POST',
      path: '/apis',
      dialect,
      summary: 'Add an API',
      body: apiBody,
      answers: { 201: apiAnswer },
      handle: create,
    },
    {
      method: 'PUT',
      path: '/apis',
      dialect,
      summary: 'Add an API, or replace the one whose id the body has',
      body: apiBody,
      answers: { 200: apiAnswer, 201: apiAnswer },
      handle: put,
    },
    {
      method: 'GET',
      path: one,
      dialect,
      summary: 'An API by id or name',
      answers: { 200: apiAnswer },
      handle: async (call) => ({ status: 200, body: showApi(await findApi(store, call.params['api'] ?? '')) }),
    },
    {
      method: 'PATCH',
      path: one,
      dialect,
      summary: 'Change some fields of an API',
      body: apiPatch,
      answers: { 200: apiAnswer },
      handle: patch,
    },
    {
      method: 'DELETE',
      path: one,
      dialect,
      summary: 'Remove an API and its plugins',
      answers: { 204: null },
      handle: remove,
    },
  ];

  async function create(call: Call): Promise<Answer> {
    const decoded = decodeFields(apiBody, call.body, seedPhrases);
    const identity = { id: decoded.values.id ?? newId(), createdAt: deps.now() };
    const api = composeApi(decoded, Object.keys(call.body.fields), identity);
    return save(call, 'insert', api);
  }

  async function put(call: Call): Promise<Answer> {
    const decoded = decodeFields(apiBody, call.body, seedPhrases);
    const { id } = decoded.values;
    if (id === undefined) return create(call);
    const stored = await store.apis.get(id);
    if (stored === undefined) throw notFound();
    return save(
      call,
      'replace',
      composeApi(decoded, Object.keys(call.body.fields), { id, createdAt: stored.createdAt }),
    );
  }

  async function save(call: Call, how: 'insert' | 'replace', api: Api): Promise<Answer> {
    const answer = await write(deps, call, async (tx): Promise<Written> => {
      if (how === 'replace' && (await tx.apis.get(api.id)) === undefined) throw notFound();
      await refuseTaken(tx, api);
      await tx.apis[how](api);
      return { status: how === 'insert' ? 201 : 200, body: showApi(api), notices: await noticesOf(tx, api) };
    });
    return withTerminationWarning(deps, answer, api.httpIfTerminated);
  }

  async function patch(call: Call): Promise<Answer> {
    const names = Object.keys(call.body.fields);
    if (names.length === 0) throw inputInvalid([invalid(wholeEntity, 'empty body')]);
    const decoded = decodeFields(apiPatch, call.body, seedPhrases);
    let terminated = false;
    const answer = await write(deps, call, async (tx): Promise<Written> => {
      const stored = await findApi(tx, call.params['api'] ?? '');
      const { id } = decoded.values;
      if (id !== undefined && id !== stored.id) throw inputInvalid([invalid('id', 'id cannot be updated')]);
      const api = composeApi(decoded, names, { id: stored.id, createdAt: stored.createdAt }, stored);
      await refuseTaken(tx, api);
      await tx.apis.replace(api);
      terminated = api.httpIfTerminated;
      return { status: 200, body: showApi(api), notices: await noticesOf(tx, api) };
    });
    return withTerminationWarning(deps, answer, terminated);
  }

  async function noticesOf(tx: StoreReader, api: Api): Promise<Notices> {
    return joinNotices(await coverage(tx, api), await ruleNotices(tx, api.clientCertificate, deps.now()));
  }

  function remove(call: Call): Promise<Answer> {
    return write(deps, call, async (tx) => {
      await tx.apis.delete((await findApi(tx, call.params['api'] ?? '')).id);
      return { status: 204 };
    });
  }
}

/** By id when it looks like one, else or then by name. @throws ENTITY_NOT_FOUND */
export async function findApi(reader: StoreReader, idOrName: string): Promise<Api> {
  const byId = isUuid(idOrName) ? await reader.apis.get(idOrName.toLowerCase()) : undefined;
  const api = byId ?? (await reader.apis.findByName(idOrName));
  if (api === undefined) throw notFound();
  return api;
}

/** Whether the certificate of the API's plugin is good for its hosts. */
async function coverage(reader: StoreReader, api: Api): Promise<Notices> {
  const { items } = await reader.plugins.list({ size: 1 }, { apiId: api.id, enabled: true });
  const certificate = await reader.certificates.get(items[0]?.certificateId ?? '');
  return certificate === undefined ? noNotices : coverageNotices(certificate, api.hosts);
}

/** In Kong 0.9 a host and a path belong to one API. @throws UNIQUE_VIOLATION */
export async function refuseTaken(reader: StoreReader, api: Api): Promise<void> {
  if (api.dialect !== '0.9') return;
  const [host] = api.hosts;
  const [uri] = api.uris;
  if (host !== undefined) await refuse('request_host', host, { host });
  if (uri !== undefined) await refuse('request_path', uri, { uri });

  async function refuse(field: string, value: string, filter: ApiFilter): Promise<void> {
    const { items } = await reader.apis.list({ size: pageSizeMax }, filter);
    if (!items.some((other) => other.id !== api.id && other.dialect === '0.9')) return;
    throw new PortunusError('UNIQUE_VIOLATION', `${field} ${value} belongs to another API`, {
      facts: { entity: 'api', field, value },
    });
  }
}

const filters: Filters<ApiFilter> = {
  id: (value) => (isUuid(value) ? { id: value.toLowerCase() } : undefined),
  name: (name) => ({ name }),
  request_host: hostFilter,
  request_path: (uri) => ({ uri }),
  hosts: hostFilter,
  uris: (uri) => ({ uri }),
  upstream_url: (upstreamUrl) => ({ upstreamUrl }),
};

function hostFilter(value: string): ApiFilter {
  const parsed = parseHostName(value);
  return { host: parsed.kind === 'invalid' ? value : parsed.name };
}
