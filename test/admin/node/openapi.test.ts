import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adminRoutes } from '../../../src/admin/routes.ts';
import type { AdminDeps } from '../../../src/admin/contract.ts';
import { documentPath } from '../../../src/admin/node/openapi.ts';
import { startAdmin } from '../../support/admin-server.ts';

interface Operation {
  readonly operationId: string;
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: object }>> };
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
}

test('every route is in the document, every operation of the document is a route', async (t) => {
  const { send } = await startAdmin(t);
  const { body } = await send('GET', '/openapi.json');
  const documented = Object.entries(body.paths as Record<string, Record<string, Operation>>).flatMap(
    ([path, operations]) => Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const served = adminRoutes({} as AdminDeps).map(({ method, path }) => `${method} ${documentPath(path)}`);
  assert.deepEqual(documented.sort(), served.sort());
  for (const operation of documented) {
    const [method = '', path = ''] = operation.split(' ');
    const { status, headers } = await send('OPTIONS', path.replaceAll(/\{\w+\}/g, 'x'));
    assert.equal(status, 204);
    assert.ok(headers.get('allow')?.split(', ').includes(method), operation);
  }
});

test('every write has the parameters that writes take, and no list has them', async (t) => {
  const { send } = await startAdmin(t);
  const { body } = await send('GET', '/openapi.json');
  for (const { path, method, body: fields } of adminRoutes({} as AdminDeps)) {
    const operation: Operation = body.paths[documentPath(path)][method.toLowerCase()];
    const named = operation.parameters?.filter((parameter) => parameter.in === 'query').map(({ name }) => name) ?? [];
    const taken = ['dry_run', 'force', 'wait'].filter((name) => named.includes(name));
    const wanted = method === 'GET' ? [] : fields === undefined ? ['dry_run', 'wait'] : ['dry_run', 'force', 'wait'];
    assert.deepEqual(taken, wanted, `${method} ${path}`);
  }
});

test('the document holds the very schemas that bodies are decoded with', async (t) => {
  const { send } = await startAdmin(t);
  const { body } = await send('GET', '/openapi.json');
  const ids = new Set<string>();
  for (const route of adminRoutes({} as AdminDeps)) {
    const operation: Operation = body.paths[documentPath(route.path)][route.method.toLowerCase()];
    assert.ok(!ids.has(operation.operationId), operation.operationId);
    ids.add(operation.operationId);
    const inPath =
      operation.parameters?.filter((parameter) => parameter.in === 'path').map(({ name }) => `:${name}`) ?? [];
    assert.deepEqual(inPath, route.path.match(/:\w+/g) ?? []);
    const schema = operation.requestBody?.content['multipart/form-data']?.schema;
    assert.deepEqual(schema, route.body === undefined ? undefined : JSON.parse(JSON.stringify(route.body)));
  }
});

const accepted: Readonly<Record<string, object>> = {
  'POST /apis': { upstream_url: 1, unknown: 1 },
  'POST /plugins': { name: 'ssl', config: { unknown: 1 } },
  'POST /certificates': { unknown: 1, cert: 1 },
  'POST /snis': { unknown: 1, name: 1 },
};

test('a field that a schema does not have is refused by its route', async (t) => {
  const { send } = await startAdmin(t);
  for (const [operation, json] of Object.entries(accepted)) {
    const [method = '', path = ''] = operation.split(' ');
    const { status, text } = await send(method, path, { json });
    assert.equal(status, 400);
    assert.match(text, /unknown field/);
  }
});
