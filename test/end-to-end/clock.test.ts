// The clock of a machine jumps, by an hour or by years, forth and back: nobody notices but the dates that are written.
import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { call, expectOk } from '../support/admin.ts';
import { makeSelfSigned } from '../support/certificates.ts';
import { startGateway } from '../support/gateway.ts';
import { handshake } from '../support/handshake.ts';
import { startPostgres } from '../support/postgres.ts';
import { startUpstream } from '../support/upstream.ts';
import { until } from '../support/until.ts';

const hour = 3_600_000;
const year = 365 * 24 * hour;
const jumps = [hour, -hour, 10 * year, -10 * year, 0];

test('requests under way, connections, handshakes, tickets, writes and workers outlive every jump', async () => {
  using clock = shiftedClock();
  const held: http.ServerResponse[] = [];
  await using upstream = await startUpstream((_, response) => void held.push(response));
  await using gateway = await startGateway({ workers: 2, env: clock.env, settings: { worker_timeout: '60s' } });
  const { admin, plainPort, tlsPort } = gateway;
  await expectOk(admin, 'POST', '/apis', { name: 'a', request_host: 'a.test', upstream_url: upstream.url });
  // Valid whatever the clock says, as far as the gateway judges it.
  const pair = makeSelfSigned({
    names: ['a.test'],
    notBefore: Date.now() - 20 * year,
    notAfter: Date.now() + 20 * year,
  });
  await expectOk(admin, 'POST', '/certificates', { ...pair, snis: ['a.test'] });
  const workers = gateway.workerPids();
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const { session } = await handshake(tlsPort, 'a.test', { version: 'TLSv1.3', ticket: true });
  const audited = await auditOf(admin);
  for (const jump of jumps) {
    const answered = get(plainPort, agent);
    const response = await until('the upstream has the request', () => held.pop());
    clock.set(jump);
    response.end('late');
    assert.deepEqual(await answered, { status: 200, body: 'late' });
    // Resumed or not: that is for the ticket's own keys and time to say.
    const again = await handshake(tlsPort, 'a.test', { version: 'TLSv1.3', session });
    assert.ok(again.resumed || again.subject.includes('a.test'));
    await expectOk(admin, 'PATCH', '/apis/a', { preserve_host: jump > 0 });
    for (const target of ['/status/ready', '/status', '/metrics']) {
      assert.equal((await fetch(`${gateway.status}${target}`)).status, 200, target);
    }
    const { body } = await expectOk(admin, 'GET', '/status');
    assert.ok(body.uptime_seconds >= 0 && body.uptime_seconds < 1000, `${body.uptime_seconds} s`);
    assert.deepEqual(gateway.workerPids(), workers);
  }
  agent.destroy();
  const after = await auditOf(admin);
  assert.ok(after >= audited + jumps.length, 'the audit trail is whole');
  assert.doesNotMatch(gateway.output(), /no sign of life|unexpectedly/);
});

test('a node whose clock is years off is no dead one, and loses nothing of the others', async () => {
  using clock = shiftedClock();
  await using server = await startPostgres();
  const settings = { database: 'postgres', pg_url: server.url, keyring: 'env', node_timeout: '30s' };
  const keys = { PORTUNUS_KEYRING_KEYS: `k1:${Buffer.alloc(32, 1).toString('base64')}` };
  await using right = await startGateway({ workers: 1, settings, env: keys });
  await using wrong = await startGateway({ workers: 1, settings, env: { ...keys, ...clock.env } });
  for (const [at, jump] of jumps.entries()) {
    clock.set(jump);
    for (const [which, writer] of [right, wrong].entries()) {
      const name = `n${at}-${which}.test`;
      const pair = makeSelfSigned({
        names: [name],
        notBefore: Date.now() - 20 * year,
        notAfter: Date.now() + 20 * year,
      });
      const { status, body } = await call(writer.admin, 'POST', '/certificates?wait=20s', { ...pair, snis: [name] });
      assert.equal(status, 201, JSON.stringify(body));
      for (const { tlsPort } of [right, wrong])
        assert.match((await handshake(tlsPort, name)).subject, new RegExp(name));
    }
    const { body } = await expectOk(right.admin, 'GET', '/portunus/nodes');
    assert.equal(body.data.length, 2);
  }
});

/** The clock of whoever is started with its environment. */
function shiftedClock() {
  const folder = mkdtempSync(path.join(tmpdir(), 'portunus-clock-'));
  const file = path.join(folder, 'offset');
  const set = (ms: number): void => {
    writeFileSync(`${file}.new`, String(ms));
    renameSync(`${file}.new`, file);
  };
  set(0);
  const preload = fileURLToPath(new URL('../support/shifted-clock.mjs', import.meta.url));
  return {
    env: { NODE_OPTIONS: `--import=${preload}`, CLOCK_OFFSET_FILE: file },
    set,
    [Symbol.dispose]: () => rmSync(folder, { recursive: true }),
  };
}

async function auditOf(admin: string): Promise<number> {
  return (await expectOk(admin, 'GET', '/portunus/audit?size=1000')).body.data.length;
}

function get(port: number, agent: http.Agent): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    http
      .get({ host: '127.0.0.1', port, headers: { host: 'a.test' }, agent }, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      })
      .on('error', reject);
  });
}
