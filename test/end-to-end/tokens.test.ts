// Tokens as an operator meets them: an Admin API that other machines reach, and a cluster whose PostgreSQL is away.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { startCluster } from '../support/cluster.ts';
import { command, succeed } from '../support/command.ts';
import { main, startGateway } from '../support/gateway.ts';
import { startPostgres } from '../support/postgres.ts';
import { until } from '../support/until.ts';

const status = async (base: string, token?: string): Promise<number> => {
  const response = await fetch(`${base}/apis`, {
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
  });
  await response.arrayBuffer();
  return response.status;
};

test('an Admin API that other machines reach does not start without a token, and then demands it', async () => {
  const prefix = mkdtempSync(path.join(os.tmpdir(), 'portunus-tokens-'));
  const portunus = (...args: string[]) => [main, ...args, '--set', `prefix=${prefix}`];
  const settings = {
    admin_listen: '0.0.0.0:0',
    admin_plain_http: 'on',
    proxy_listen: '127.0.0.1:0',
    status_listen: 'off',
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['--set', `${name}=${value}`]);
  try {
    const refused = await command(process.execPath, portunus('start', ...flags), { cwd: prefix });
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /Admin API on 0\.0\.0\.0:0 demands tokens[^]*portunus token create <name>/);
    const token = (await succeed(process.execPath, portunus('token', 'create', 'ops'), { cwd: prefix })).trim();
    await using gateway = await startGateway({ prefix, settings });
    assert.equal(await status(gateway.admin), 401);
    assert.equal(await status(gateway.admin, token), 200);
    await succeed(process.execPath, portunus('token', 'revoke', 'ops'), { cwd: prefix });
    assert.equal(await status(gateway.admin, token), 401);
    assert.ok(!gateway.output().includes(token.slice(-43)));
  } finally {
    rmSync(prefix, { recursive: true, force: true });
  }
});

test('every node of a cluster knows a token within moments, and goes on when PostgreSQL is away', async () => {
  await using server = await startPostgres();
  await using cluster = await startCluster({ nodes: 2, port: server.port });
  const token = (await cluster.portunus(['token', 'create', 'ops'])).trim();
  const admins = cluster.nodes.map(({ admin }) => admin);
  for (const admin of admins) await until('the node knows it', async () => (await status(admin, token)) === 200);
  await server.stop('fast');
  for (const admin of admins) {
    await until('reads come from the replica', async () => (await status(admin, token)) === 200);
    assert.equal(await status(admin, `${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`), 401);
  }
  await server.start();
  await until('it is revoked', async () => {
    const { code } = await cluster.portunus(['token', 'revoke', 'ops']).then(
      () => ({ code: 0 }),
      () => ({ code: 1 }),
    );
    return code === 0;
  });
  for (const admin of admins) await until('no node lets it in', async () => (await status(admin, token)) === 401);
});
