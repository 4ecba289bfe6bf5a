// Random transactions against a store and against a naive model of one, which knows no indexes and works bindings out
// from scratch after every write.
import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import type { Api, Binding, Certificate, Plugin, Sni } from '../../src/model/entities.ts';
import { isPortunusError } from '../../src/lib/errors.ts';
import type { Store, StoreTransaction, Writable } from '../../src/store/contract.ts';
import { certificateIdOf, fakeApi, fakeCertificate, fakePlugin, fakePluginCertificate, fakeSni } from './entities.ts';
import type { OpenStore } from './store.ts';

export function storeModelContract(name: string, openStore: OpenStore): void {
  test(`${name}: random transactions leave what a naive model of the store holds`, async () => {
    await fc.assert(
      fc.asyncProperty(scripts, async (script) => {
        await using opened = await openStore();
        let model = await runBoth(opened.store, emptyModel(), furniture);
        for (const steps of script) model = await runBoth(opened.store, model, steps);
        await assertSame(await opened.reopen(), model);
      }),
      { numRuns: 50 },
    );
  });
}

interface Model {
  readonly apis: Map<string, Api>;
  readonly plugins: Map<string, Plugin>;
  readonly certificates: Map<string, Certificate>;
  readonly snis: Map<string, Sni>;
  readonly revision: number;
}

type Step =
  | { readonly kind: 'api'; readonly verb: Verb; readonly api: Api }
  | { readonly kind: 'plugin'; readonly verb: Verb; readonly plugin: Plugin }
  | { readonly kind: 'certificate'; readonly verb: Verb; readonly certificate: Certificate }
  | { readonly kind: 'sni'; readonly verb: Verb; readonly sni: Sni };
/** `put`: insert what the model does not have, replace what it has. */
type Verb = 'insert' | 'replace' | 'delete' | 'put';

/** The whole of what may go wrong with a step; a store may name any of it. */
type Problem = 'TypeError' | 'UNIQUE_VIOLATION' | 'REFERENCE_MISSING' | 'NAME_ALREADY_BOUND';

/** What is there at the beginning, so that few transactions fail for want of an API or a certificate. */
const furniture: readonly Step[] = [
  ...['a1', 'a2', 'a3'].map((id) => ({ kind: 'api', verb: 'insert', api: fakeApi(id, { hosts: [] }) }) as const),
  ...['c1', 'c2'].map((id) => ({ kind: 'certificate', verb: 'insert', certificate: fakeCertificate(id) }) as const),
  ...['p1', 'p2', 'p3'].map(
    (id) => ({ kind: 'certificate', verb: 'insert', certificate: fakePluginCertificate(id) }) as const,
  ),
];

const hostNames = ['a.test', 'b.test', '*.b.test', 'c.*', '10.0.0.1', '::1'];
const apiIds = ['a1', 'a2', 'a3'];
const pluginIds = ['p1', 'p2', 'p3'];
const certificateIds = ['c1', 'c2', ...pluginIds.map(certificateIdOf)];
const sniIds = ['s1', 's2', 's3'];

const verb = fc.constantFrom<Verb>('put', 'put', 'put', 'put', 'put', 'put', 'insert', 'replace', 'delete');
const tags = fc.uniqueArray(fc.constantFrom('t', 'u'), { maxLength: 2 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('api' as const),
    verb,
    api: fc
      .tuple(fc.constantFrom(...apiIds), fc.subarray(apiIds, { maxLength: 1 }), fc.subarray(hostNames))
      .map(([id, [other = id], hosts]) => fakeApi(id, { name: `name-${other}`, hosts })),
  }),
  fc.record({
    kind: fc.constant('plugin' as const),
    verb,
    plugin: fc
      .tuple(fc.constantFrom(...pluginIds), fc.constantFrom(...apiIds, null), fc.boolean())
      .map(([id, apiId, enabled]) => fakePlugin(id, apiId, { enabled })),
  }),
  fc.record({
    kind: fc.constant('certificate' as const),
    verb,
    certificate: fc
      .tuple(fc.constantFrom('c1', 'c2', ...pluginIds), tags)
      .map(([id, tags]) =>
        pluginIds.includes(id) ? fakePluginCertificate(id, { tags }) : fakeCertificate(id, { tags }),
      ),
  }),
  fc.record({
    kind: fc.constant('sni' as const),
    verb,
    sni: fc
      .tuple(
        fc.constantFrom(...sniIds),
        fc.constantFrom(...hostNames.slice(0, 4)),
        fc.constantFrom(...certificateIds),
        tags,
      )
      .map(([id, name, certificateId, tags]) => fakeSni(id, name, certificateId, { tags })),
  }),
);

const scripts = fc.array(fc.array(step, { minLength: 1, maxLength: 3, size: 'max' }), { maxLength: 25, size: 'max' });

async function runBoth(store: Store, before: Model, steps: readonly Step[]): Promise<Model> {
  const next = { ...copyOf(before), revision: before.revision + 1 };
  const resolved: Step[] = [];
  let problems: readonly Problem[] = [];
  for (const each of steps) {
    resolved.push(resolve(next, each));
    problems = apply(next, resolved.at(-1) ?? each);
    if (problems.length > 0) break;
  }
  const outcome = await store
    .transact('model', async (tx) => {
      for (const each of resolved) await write(tx, each);
    })
    .catch((error: unknown) => error as Error);

  if (problems.length > 0) {
    assert.ok(outcome instanceof Error, `expected ${problems.join(' or ')} of ${JSON.stringify(resolved)}`);
    const seen = isPortunusError(outcome) ? outcome.code : outcome.name;
    assert.ok(problems.includes(seen as Problem), `expected ${problems.join(' or ')}, not ${String(outcome)}`);
    await assertSame(store, before);
    return before;
  }
  if (outcome instanceof Error) throw outcome;
  assert.equal(outcome.revision, next.revision);
  await assertSame(store, next);
  await assertHoldersHaveChanges(store, before, next);
  return next;
}

function resolve(model: Model, each: Step): Step {
  if (each.verb !== 'put') return each;
  const known = isKnown(model, each);
  return { ...each, verb: known ? 'replace' : 'insert' };
}

function isKnown(model: Model, each: Step): boolean {
  if (each.kind === 'api') return model.apis.has(each.api.id);
  if (each.kind === 'plugin') return model.plugins.has(each.plugin.id);
  if (each.kind === 'certificate') return model.certificates.has(each.certificate.id);
  return model.snis.has(each.sni.id);
}

async function write(tx: StoreTransaction, each: Step): Promise<void> {
  switch (each.kind) {
    case 'api':
      return writeTo(tx.apis, each.verb, each.api);
    case 'plugin':
      return writeTo(tx.plugins, each.verb, each.plugin);
    case 'certificate':
      return writeTo(tx.certificates, each.verb, each.certificate);
    case 'sni':
      return writeTo(tx.snis, each.verb, each.sni);
  }
}

async function writeTo<E extends { readonly id: string }>(to: Writable<E>, verb: Verb, entity: E): Promise<void> {
  if (verb === 'delete') await to.delete(entity.id);
  else if (verb === 'replace') await to.replace(entity);
  else await to.insert(entity);
}

/** Changes the model, or says all that is wrong with the step and leaves the model of no more use. */
function apply(model: Model, each: Step): readonly Problem[] {
  const problems: Problem[] = [];
  switch (each.kind) {
    case 'api': {
      if (!put(model.apis, each.verb, each.api, problems)) break;
      if (each.verb !== 'delete') break;
      for (const plugin of model.plugins.values()) if (plugin.apiId === each.api.id) deletePlugin(model, plugin);
      break;
    }
    case 'plugin': {
      const known = model.plugins.get(each.plugin.id);
      if (!put(model.plugins, each.verb, each.plugin, problems)) break;
      if (each.verb === 'delete') {
        if (known !== undefined) deletePlugin(model, known);
        break;
      }
      if (each.plugin.apiId !== null && !model.apis.has(each.plugin.apiId)) problems.push('REFERENCE_MISSING');
      if (!model.certificates.has(each.plugin.certificateId)) problems.push('REFERENCE_MISSING');
      break;
    }
    case 'certificate': {
      const { id } = each.certificate;
      if (each.verb === 'delete' && [...model.plugins.values()].some((plugin) => plugin.certificateId === id)) {
        problems.push('TypeError');
      }
      if (!put(model.certificates, each.verb, each.certificate, problems)) break;
      if (each.verb === 'delete') deleteSnisOf(model, id);
      break;
    }
    case 'sni': {
      if (!put(model.snis, each.verb, each.sni, problems)) break;
      if (each.verb !== 'delete' && !model.certificates.has(each.sni.certificateId)) problems.push('REFERENCE_MISSING');
      break;
    }
  }
  const unique: readonly (readonly string[])[] = [
    [...model.apis.values()].map((api) => api.name),
    [...model.plugins.values()].map((plugin) => plugin.apiId ?? ''),
    [...model.snis.values()].map((sni) => sni.name),
  ];
  if (unique.some((values) => new Set(values).size < values.length)) problems.push('UNIQUE_VIOLATION');
  const names = bindingsOf(model).map((binding) => binding.name);
  if (new Set(names).size < names.length) problems.push('NAME_ALREADY_BOUND');
  return problems;
}

/** @returns false when the step fails before anything else is looked at */
function put<E extends { readonly id: string }>(
  entities: Map<string, E>,
  verb: Verb,
  entity: E,
  problems: Problem[],
): boolean {
  if (verb === 'insert' && entities.has(entity.id)) {
    problems.push('UNIQUE_VIOLATION');
    return false;
  }
  if (verb !== 'insert' && !entities.has(entity.id)) {
    problems.push('TypeError');
    return false;
  }
  if (verb === 'delete') entities.delete(entity.id);
  else entities.set(entity.id, entity);
  return true;
}

function deletePlugin(model: Model, plugin: Plugin): void {
  model.plugins.delete(plugin.id);
  model.certificates.delete(plugin.certificateId);
  deleteSnisOf(model, plugin.certificateId);
}

function deleteSnisOf(model: Model, certificateId: string): void {
  for (const sni of model.snis.values()) if (sni.certificateId === certificateId) model.snis.delete(sni.id);
}

function bindingsOf(model: Model): readonly Binding[] {
  const bindings: Binding[] = [];
  for (const { id, name, certificateId } of model.snis.values()) {
    bindings.push({ name, certificateId, holder: { kind: 'sni', id } });
  }
  for (const { id, apiId, enabled, certificateId } of model.plugins.values()) {
    const hosts = apiId === null ? [''] : (model.apis.get(apiId)?.hosts ?? []);
    for (const name of enabled ? hosts : []) {
      if (isIP(name) === 0) bindings.push({ name, certificateId, holder: { kind: 'plugin', id } });
    }
  }
  return bindings;
}

async function assertSame(store: Store, model: Model): Promise<void> {
  assert.equal(await store.revision(), model.revision);
  const page = { size: 1000 };
  assert.deepEqual((await store.apis.list(page)).items, [...model.apis.values()]);
  assert.deepEqual((await store.plugins.list(page)).items, [...model.plugins.values()]);
  assert.deepEqual((await store.certificates.list(page, { owner: 'any' })).items, [...model.certificates.values()]);
  assert.deepEqual((await store.snis.list(page)).items, [...model.snis.values()]);
  for (const tag of ['t', 'u']) {
    assert.deepEqual(
      (await store.snis.list(page, { tags: { all: [tag] } })).items,
      [...model.snis.values()].filter((sni) => sni.tags.includes(tag)),
    );
  }
  for (const host of hostNames) {
    assert.deepEqual(
      (await store.apis.list(page, { host })).items,
      [...model.apis.values()].filter((api) => api.hosts.includes(host)),
    );
  }
  const expected = new Map(bindingsOf(model).map((binding) => [binding.name, binding]));
  for (const name of ['', ...hostNames]) assert.deepEqual(await store.binding(name), expected.get(name));
  const revisions = new Set((await store.changesSince(0, 100_000)).map((change) => change.revision));
  assert.deepEqual(
    [...revisions],
    Array.from({ length: model.revision }, (_, index) => index + 1),
  );
}

async function assertHoldersHaveChanges(store: Store, before: Model, after: Model): Promise<void> {
  const changed = new Set((await store.changesSince(before.revision, 1)).map(({ entity, id }) => `${entity} ${id}`));
  const [old, fresh] = [before, after].map((model) => bindingsOf(model).map((binding) => JSON.stringify(binding)));
  const texts = [...(old ?? []), ...(fresh ?? [])];
  for (const text of texts.filter((each) => old?.includes(each) !== fresh?.includes(each))) {
    const { holder } = JSON.parse(text) as Binding;
    assert.ok(changed.has(`${holder.kind} ${holder.id}`), `no change of ${text}`);
  }
}

function emptyModel(): Model {
  return { apis: new Map(), plugins: new Map(), certificates: new Map(), snis: new Map(), revision: 0 };
}

function copyOf(model: Model): Model {
  return {
    apis: new Map(model.apis),
    plugins: new Map(model.plugins),
    certificates: new Map(model.certificates),
    snis: new Map(model.snis),
    revision: model.revision,
  };
}
