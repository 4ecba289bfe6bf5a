// Every write that was acknowledged is there after kill -9, at whatever moment, and nothing is there by halves.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { call, expectOk } from '../support/admin.ts';
import { makeSelfSigned } from '../support/certificates.ts';
import { isAlive, startGateway } from '../support/gateway.ts';
import { until } from '../support/until.ts';

test('kill -9 of the whole gateway under a load of writes, again and again', async () => {
  const prefix = mkdtempSync(path.join(os.tmpdir(), 'portunus-durable-'));
  const pair = makeSelfSigned({ names: ['*.durable.test'] });
  const acknowledged = new Map<string, number>();
  let lastRevision = 0;
  for (let round = 0; round < 4; round += 1) {
    const gateway = await startGateway({ prefix, workers: 1 });
    const present = await allSnis(gateway.admin);
    for (const name of acknowledged.keys()) assert.ok(present.has(name), `${name} was acknowledged and is lost`);

    let running = true;
    let count = 0;
    const writers = Array.from({ length: 4 }, async (_, writer) => {
      while (running) {
        const name = `r${round}-w${writer}-n${(count += 1)}.durable.test`;
        try {
          const answer = await call(gateway.admin, 'POST', '/certificates', { ...pair, snis: [name] });
          if (answer.status === 201) acknowledged.set(name, answer.revision ?? 0);
          else assert.fail(`${answer.status} ${JSON.stringify(answer.body)}`);
        } catch (error) {
          // The gateway died under this one: it was not acknowledged.
          if (running) throw error;
        }
      }
    });
    const target = acknowledged.size + 5 + round * 7;
    await until('some writes are acknowledged', () => acknowledged.size >= target);
    running = false;
    const workers = gateway.workerPids();
    gateway.kill('SIGKILL');
    await Promise.all([...writers, gateway.exited]);
    await until('the workers of a dead primary end by themselves', () => workers.every((pid) => !isAlive(pid)));
    lastRevision = Math.max(...acknowledged.values());
  }
  assert.equal(new Set(acknowledged.values()).size, acknowledged.size, 'no two writes have one revision');

  await using last = await startGateway({ prefix, workers: 0 });
  const present = await allSnis(last.admin);
  for (const name of acknowledged.keys()) assert.ok(present.has(name), `${name} was acknowledged and is lost`);
  const next = await expectOk(last.admin, 'POST', '/certificates', { ...pair, snis: ['after.durable.test'] });
  assert.ok((next.revision ?? 0) > lastRevision, 'revisions go on where they were');
  rmSync(prefix, { recursive: true, force: true });
});

/** Names of all SNIs, each of which has a certificate that can be read. */
async function allSnis(admin: string): Promise<Set<string>> {
  const names = new Set<string>();
  let path: string | null = '/snis?size=1000';
  while (path !== null) {
    const page: { data: { name: string; certificate: { id: string } }[]; next: string | null } = (
      await expectOk(admin, 'GET', path)
    ).body;
    for (const sni of page.data) names.add(sni.name);
    const sample = page.data.at(-1);
    if (sample !== undefined) await expectOk(admin, 'GET', `/certificates/${sample.certificate.id}`);
    path = page.next;
  }
  return names;
}
