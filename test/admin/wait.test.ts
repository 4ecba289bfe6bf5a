import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PortunusError } from '../../src/lib/errors.ts';
import { startAdmin } from '../support/admin-server.ts';

const api = { name: 'waited', request_host: 'waited.test', upstream_url: 'http://u' };
const one = { id: 'n1', name: 'one "quoted"', ms: 3 };

test('a write that waits says who has applied it, in every dialect, and a DELETE gets a body', async (t) => {
  const asked: unknown[] = [];
  const admin = await startAdmin(t, {
    deps: {
      whenAppliedByAll: async (revision, _committedAt, timeoutMs) => {
        asked.push([revision, timeoutMs]);
        return { revision, applied: [one], lagging: [], known: true };
      },
    },
  });
  const created = await admin.send('POST', '/apis?wait=cluster', { json: api });
  assert.equal(created.status, 201);
  assert.equal(created.body.name, 'waited');
  assert.deepEqual(created.body.cluster, {
    revision: 1,
    applied: [{ node: 'n1', name: 'one "quoted"', ms: 3 }],
    lagging: [],
  });
  assert.equal(created.headers.get('portunus-nodes'), String.raw`"one \"quoted\"";ms=3`);
  const gone = await admin.send('DELETE', '/apis/waited?wait=250ms');
  assert.equal(gone.status, 200);
  assert.equal(gone.body.cluster.revision, 2);
  assert.deepEqual(asked, [
    [1, undefined],
    [2, 250],
  ]);
});

test('a node that lagged is named, with 202, and so is a cluster that could not be asked', async (t) => {
  let known = true;
  const lagging = [{ id: 'n2', name: 'two', applied: 4, silentMs: 900 }];
  const admin = await startAdmin(t, {
    deps: {
      whenAppliedByAll: async (revision) => ({ revision, applied: [one], lagging: known ? lagging : [], known }),
    },
  });
  const lagged = await admin.send('POST', '/apis?wait=1s', { json: api });
  assert.equal(lagged.status, 202);
  assert.equal(lagged.body.name, 'waited');
  assert.deepEqual(lagged.body.cluster.lagging, [
    { node: 'n2', name: 'two', applied_revision: 4, last_seen_ms_ago: 900 },
  ]);
  assert.match(lagged.headers.get('warning') ?? '', /not yet applied by two/);
  known = false;
  const unknown = await admin.send('DELETE', '/apis/waited?wait=1s');
  assert.equal(unknown.status, 202);
  assert.match(unknown.body.cluster.message, /stored/);
});

test('a wait that is none is refused and nothing is written; a dry run does not wait', async (t) => {
  const admin = await startAdmin(t, {
    deps: { whenAppliedByAll: () => Promise.reject(new Error('nobody should ask')) },
  });
  for (const wait of ['', 'yes', '5', '0s', '11m', '-1s', '1h', '5s5s']) {
    const refused = await admin.send('POST', `/apis?wait=${wait}`, { json: api });
    assert.equal(refused.status, 400, wait);
    assert.match(JSON.stringify(refused.body), /cluster, or a duration/);
  }
  assert.equal((await admin.send('GET', '/apis')).body.total, 0);
  assert.equal((await admin.send('POST', '/apis?dry_run=true&wait=cluster', { json: api })).status, 200);
});

test('what the store could not do is answered with its code in every dialect', async (t) => {
  let code: 'STORE_UNAVAILABLE' | 'STORE_OUTCOME_UNKNOWN' | 'STORE_NEWER' = 'STORE_UNAVAILABLE';
  const working = await startAdmin(t);
  const store = { ...working.store, transact: () => Promise.reject(new PortunusError(code, 'inside')) };
  const admin = await startAdmin(t, { deps: { store } });
  for (code of ['STORE_UNAVAILABLE', 'STORE_OUTCOME_UNKNOWN', 'STORE_NEWER'] as const) {
    for (const [path, json] of [
      ['/apis', api],
      ['/snis', { name: 'a.test', certificate: { id: 'b5b30a1e-5f0a-4b6a-9a6e-1d9f5a0b7c11' } }],
    ] as const) {
      const answer = await admin.send('POST', path, { json });
      assert.equal(answer.status, 503);
      assert.equal(answer.body.code, code);
      assert.doesNotMatch(JSON.stringify(answer.body), /inside/);
      assert.equal(answer.headers.has('retry-after'), code === 'STORE_UNAVAILABLE');
    }
  }
});
