// The metrics as Prometheus reads them, and docs/observability.md, which lists them. To write the page's table anew after a
// change: WRITE_DOCS=1 and this file.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { isSettingName } from '../../src/config/settings.ts';
import { createCounters } from '../../src/observe/counters.ts';
import { metrics } from '../../src/observe/metric-table.ts';
import type { Metric } from '../../src/observe/metric-table.ts';
import { createMetrics } from '../../src/observe/metrics.ts';
import type { NodeFacts } from '../../src/observe/metrics.ts';

const page = new URL('../../docs/observability.md', import.meta.url);
const table: readonly (readonly [string, Metric])[] = Object.entries(metrics);

test('the page lists the metrics of the table, and no other', () => {
  const text = readFileSync(page, 'utf8');
  const head = '| name | type | labels | |\n|---|---|---|---|\n';
  const start = text.indexOf(head) + head.length;
  const end = text.indexOf('\n\n', start - 1);
  const rows = table.map(([name, { type, labels, help }]) => {
    return `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |\n`;
  });
  if (process.env['WRITE_DOCS'] === '1') {
    writeFileSync(page, `${text.slice(0, start)}${rows.join('')}${text.slice(end + 1)}`);
  } else {
    assert.equal(text.slice(start, end + 1), rows.join(''));
    const named = new Set([...text.matchAll(/portunus_[a-z_]+/g)].map(([name]) => name));
    assert.deepEqual(named, new Set(table.map(([name]) => name)));
  }
});

test('names and types follow the conventions of Prometheus', () => {
  for (const [name, { type, help }] of table) {
    assert.match(name, /^portunus(_[a-z]+)+$/);
    assert.equal(name.endsWith('_total'), type === 'counter', name);
    assert.ok(!/milliseconds|_ms|_kb/.test(name), name);
    assert.ok(type !== 'histogram' || name.endsWith('_seconds'), name);
    assert.match(help, /^[A-Z].*\.$/);
  }
});

test('every metric is there, with the labels that the table says', async () => {
  const text = await createMetrics(10).render(facts());
  for (const [name, { type, labels }] of table) {
    assert.ok(text.includes(`# TYPE ${name} ${type}\n`), name);
    const samples = text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
    assert.ok(type === 'histogram' || samples.length > 0, name);
    for (const sample of samples) {
      assert.deepEqual(
        [...sample.matchAll(/[{,](\w+)="/g)].map((match) => match[1]),
        labels,
        sample,
      );
    }
  }
});

test('what is counted shows under its labels', async () => {
  const text = await createMetrics(10).render(facts());
  for (const line of [
    'portunus_http_requests_total{code="200"} 2',
    'portunus_http_requests_total{code="502"} 1',
    'portunus_tls_handshakes_total{version="TLSv1.3",resumed="true"} 1',
    'portunus_tls_handshake_failures_total{reason="plain-http"} 1',
    'portunus_tls_context_cache_total{result="hit"} 1',
    'portunus_connections{listener="tls"} 1',
    'portunus_request_duration_seconds_bucket{le="0.0025"} 2',
    'portunus_request_duration_seconds_bucket{le="+Inf"} 3',
    'portunus_request_duration_seconds_count 3',
    'portunus_request_duration_seconds_sum 0.104',
    'portunus_upstream_duration_seconds_count 2',
    'portunus_store_revision 7',
    'portunus_store_reachable 1',
    'portunus_applied_revision 6',
    'portunus_workers{state="serving"} 1',
    'portunus_workers{state="wanted"} 2',
  ]) {
    assert.ok(text.split('\n').includes(line), line);
  }
});

test('the buckets of a histogram never go down', async () => {
  const text = await createMetrics(10).render(facts());
  const counts = [...text.matchAll(/^portunus_request_duration_seconds_bucket\{.*\} (\d+)$/gm)].map((match) =>
    Number(match[1]),
  );
  assert.deepEqual(
    counts,
    counts.toSorted((left, right) => left - right),
  );
});

test('the certificates that expire first are told, as many as the limit allows', async () => {
  const certificates = [
    { id: 'c', name: 'c.test', notAfter: 3000 },
    { id: 'a', name: 'a"\\\n.test', notAfter: 1000 },
    { id: 'b', name: '*.b.test', notAfter: 2000 },
  ];
  const expiry = (text: string) => text.split('\n').filter((line) => line.startsWith('portunus_certificate_not_after'));
  assert.deepEqual(expiry(await createMetrics(2).render({ ...facts(), certificates })), [
    String.raw`portunus_certificate_not_after_timestamp_seconds{id="a",name="a\"\\\n.test"} 1`,
    'portunus_certificate_not_after_timestamp_seconds{id="b",name="*.b.test"} 2',
  ]);
  assert.deepEqual(expiry(await createMetrics(0).render({ ...facts(), certificates })), []);
});

test('uploads are counted by result', async () => {
  const created = createMetrics(0);
  created.countUpload('accepted');
  created.countUpload('refused');
  created.countUpload('refused');
  const text = await created.render(facts());
  assert.match(text, /portunus_certificate_uploads_total\{result="accepted"\} 1/);
  assert.match(text, /portunus_certificate_uploads_total\{result="refused"\} 2/);
});

test('a worker that has ended still counts, but its connections are not open any more', async () => {
  const created = createMetrics(0);
  await created.render(facts());
  const [worker] = facts().workers;
  assert.ok(worker);
  const text = await created.render({
    ...facts(),
    workers: [{ ...worker, worker: 2, counters: createCounters().snapshot() }],
  });
  assert.match(text, /portunus_http_requests_total\{code="200"\} 2/);
  assert.match(text, /portunus_connections\{listener="tls"\} 0/);
});

function facts(): NodeFacts {
  const counters = createCounters();
  counters.connectionOpened(true);
  counters.handshakeDone('TLSv1.3', true);
  counters.handshakeFailed('plain-http');
  counters.contextHit();
  counters.requestDone(200, 2, 1);
  counters.requestDone(200, 2, 1);
  counters.requestDone(502, 100, -1);
  return {
    version: '1.2.3',
    startedAt: 5000,
    workers: [{ worker: 1, counters: counters.snapshot(), residentBytes: 1, tlsContexts: 1 }],
    workersWanted: 2,
    stopping: false,
    storeRevision: 7,
    storeReachable: true,
    appliedRevision: 6,
    certificates: [{ id: 'a', name: 'a.test', notAfter: 1000 }],
    authorities: [{ id: 'b', name: 'CN=b', notAfter: 2000 }],
  };
}

test('limits are told by the names of settings, and each says in the page what becomes of what is more', () => {
  const { limitsReached } = createCounters().snapshot();
  const rows = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8').split('\n');
  for (const limit of Object.keys(limitsReached)) {
    assert.ok(isSettingName(limit), limit);
    // Once among the limits, once among the settings.
    assert.equal(
      rows.filter((row) => row.startsWith('| ') && row.split('|')[1]?.includes(`\`${limit}\``)).length,
      2,
      limit,
    );
  }
});
