// /portunus/hosts and /portunus/hosts/{id or name}: TLS settings of host names, and what they demand of clients. Kong has no
// word for it; fields, lists and errors are as in today's dialect.
import type { PortunusError } from '../../lib/errors.ts';
import type { HostPolicy } from '../../model/entities.ts';
import { parseHostName } from '../../model/host-name.ts';
import type { StoreReader } from '../../store/contract.ts';
import { isUuid } from '../bodies/decode-fields.ts';
import type { AdminDeps, Answer, Call, Route } from '../contract.ts';
import { notFound } from '../not-found.ts';
import { entityRoutes } from '../today/entity-routes.ts';
import { filterInvalid, listToday, untaggedListQuery } from '../today/lists.ts';
import { write, type Notices } from '../write.ts';
import { ruleNotices } from './rule-notices.ts';
import { composeHost, hostAnswer, hostBody, showHost } from './host-fields.ts';

export function hostRoutes(deps: AdminDeps): readonly Route[] {
  const { store } = deps;
  const path = '/portunus/hosts';
  return entityRoutes({
    path,
    key: 'host',
    query: untaggedListQuery,
    body: hostBody,
    answer: hostAnswer,
    summaries: {
      list: 'List the policies of hosts',
      create: 'Add the policy of a host',
      read: 'The policy of a host, by id or name',
      put: 'Add or replace the policy of a host',
      patch: 'Change some fields of the policy of a host',
      remove: 'Remove the policy of a host',
    },
    handlers: { list, create, read, put, patch, remove },
  });

  async function list(call: Call): Promise<Answer> {
    // One that is not obeyed would answer with all of them.
    if (call.query.has('tags')) throw filterInvalid('tags', 'the policies of hosts have no tags');
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
