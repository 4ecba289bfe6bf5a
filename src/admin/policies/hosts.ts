// /portunus/hosts and /portunus/hosts/{id or name}: TLS settings of host names, and what they demand of clients. Kong has no
// word for it; fields, lists and errors are as in today's dialect.
import { PortunusError } from '../../lib/errors.ts';
import type { HostPolicy } from '../../model/entities.ts';
import { parseHostName } from '../../model/host-name.ts';
import type { StoreReader } from '../../store/contract.ts';
import { isUuid } from '../bodies/decode-fields.ts';
import type { AdminDeps, Answer, Call, Route } from '../contract.ts';
import { notFound } from '../not-found.ts';
import { listOf, listToday, untaggedListQuery } from '../today/lists.ts';
import { write, type Notices } from '../write.ts';
import { ruleNotices } from './rule-notices.ts';
import { composeHost, hostAnswer, hostBody, showHost } from './host-fields.ts';

export function hostRoutes(deps: AdminDeps): readonly Route[] {
  const { store } = deps;
  const dialect = 'today' as const;
  const path = '/portunus/hosts';
  const one = `${path}/:host`;
  const answers = { 200: hostAnswer };
  return [
    {
      method: 'GET',
      path,
      dialect,
      summary: 'List the policies of hosts',
      query: untaggedListQuery,
      answers: { 200: listOf(hostAnswer) },
      handle: list,
    },
    {
      method: 'POST',
      path,
      dialect,
      summary: 'Add the policy of a host',
      body: hostBody,
      answers: { 201: hostAnswer },
      handle: create,
    },
    { method: 'GET', path: one, dialect, summary: 'The policy of a host, by id or name', answers, handle: read },
    {
      method: 'PUT',
      path: one,
      dialect,
      summary: 'Add or replace the policy of a host',
      body: hostBody,
      answers,
      handle: put,
    },
    {
      method: 'PATCH',
      path: one,
      dialect,
      summary: 'Change some fields of the policy of a host',
      body: hostBody,
      answers,
      handle: patch,
    },
    {
      method: 'DELETE',
      path: one,
      dialect,
      summary: 'Remove the policy of a host',
      answers: { 204: null },
      handle: remove,
    },
  ];

  async function list(call: Call): Promise<Answer> {
    // One that is not obeyed would answer with all of them.
    if (call.query.has('tags')) throw new PortunusError('LIST_FILTER_INVALID', 'the policies of hosts have no tags');
    return listToday(call, path, { list: (page) => store.hostPolicies.list(page) }, {}, showHost);
  }

  async function read(call: Call): Promise<Answer> {
    const policy = await findHost(store, keyOf(call));
    if (policy === undefined) throw notFound();
    return { status: 200, body: showHost(policy) };
  }

  function create(call: Call): Promise<Answer> {
    return write(deps, call, async (tx) => {
      const policy = composeHost(call, { now: deps.now() });
      await tx.hostPolicies.insert(policy);
      return { status: 201, body: showHost(policy), notices: await notices(tx, policy) };
    });
  }

  /** Upsert: by id under that id, by a name without a policy under a new one. */
  function put(call: Call): Promise<Answer> {
    const key = keyOf(call);
    return write(deps, call, async (tx) => {
      const stored = await findHost(tx, key);
      const policy = composeHost(call, {
        id: stored?.id ?? (isUuid(key) ? key.toLowerCase() : undefined),
        createdAt: stored?.createdAt,
        name: isUuid(key) ? undefined : key,
        now: deps.now(),
      });
      await tx.hostPolicies[stored === undefined ? 'insert' : 'replace'](policy);
      return { status: 200, body: showHost(policy), notices: await notices(tx, policy) };
    });
  }

  function patch(call: Call): Promise<Answer> {
    const key = keyOf(call);
    return write(deps, call, async (tx) => {
      const stored = await findHost(tx, key);
      if (stored === undefined) throw missing(key);
      const policy = composeHost(call, { id: stored.id, createdAt: stored.createdAt, kept: stored, now: deps.now() });
      await tx.hostPolicies.replace(policy);
      return { status: 200, body: showHost(policy), notices: await notices(tx, policy) };
    });
  }

  function notices(tx: StoreReader, { clientCertificate }: HostPolicy): Promise<Notices> {
    return ruleNotices(tx, clientCertificate, deps.now());
  }

  function remove(call: Call): Promise<Answer> {
    return write(deps, call, async (tx) => {
      const policy = await findHost(tx, keyOf(call));
      if (policy !== undefined) await tx.hostPolicies.delete(policy.id);
      return { status: 204 };
    });
  }
}

async function findHost(reader: StoreReader, key: string): Promise<HostPolicy | undefined> {
  if (isUuid(key)) return reader.hostPolicies.get(key.toLowerCase());
  const parsed = parseHostName(key);
  return parsed.kind === 'invalid' ? undefined : reader.hostPolicies.findByName(parsed.name);
}

function missing(key: string): PortunusError {
  const shown = key.slice(0, 256);
  return isUuid(key)
    ? notFound(`could not find the entity with primary key '{id="${shown}"}'`, { id: shown })
    : notFound(`could not find the entity with '{name="${shown}"}'`, { name: shown });
}

function keyOf(call: Call): string {
  return call.params['host'] ?? '';
}
