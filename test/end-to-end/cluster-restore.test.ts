// The database of a running cluster is put back to an older state, as from a dump: all nodes converge to that, serve what it
// says and nothing of what was, and writes are acknowledged when they are applied.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import postgres from 'postgres';
import { type call, expectOk } from '../support/admin.ts';
import { makeSelfSigned } from '../support/certificates.ts';
import { startCluster } from '../support/cluster.ts';
import type { Gateway } from '../support/gateway.ts';
import { handshake } from '../support/handshake.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';
import { until } from '../support/until.ts';

test('a database put back to an older state is what all nodes serve, also the one that sees it late', async () => {
  await using server = await startPostgres();
  await using cluster = await startCluster({ nodes: 2, port: server.port, settings: { node_timeout: '60s' } });
  const [first, late] = cluster.nodes as [Gateway, Gateway];
  const kept = await upload(first, 'kept.test');
  const removed = await upload(first, 'removed.test');
  const dump = await dumpOf(server);

  const lost = await upload(first, 'lost.test');
  const before = await replace(first, kept.id, 'kept.test');
  await expectOk(first.admin, 'DELETE', `/certificates/${removed.id}?wait=cluster`);
  await serveAll(cluster.nodes, { 'lost.test': lost.print, 'kept.test': before.print });

  // All see it at once.
  await dump.restore();
  await serveAll(cluster.nodes, { 'kept.test': kept.print, 'removed.test': removed.print, 'lost.test': undefined });
  const written = await upload(first, 'written.test');
  assert.ok(written.revision < before.revision, 'revisions count on from the older state');
  assert.deepEqual(written.applied, ['node-0', 'node-1']);
  await serveAll(cluster.nodes, { 'written.test': written.print });

  // One of them sees it when the revisions have grown past what it had, and one of them has replaced the same certificate.
  const second = await dumpOf(server);
  const abandoned = await replace(first, kept.id, 'kept.test');
  await serveAll(cluster.nodes, { 'kept.test': abandoned.print });
  late.kill('SIGSTOP');
  for (const pid of late.workerPids()) process.kill(pid, 'SIGSTOP');
  await second.restore();
  await serveAll([first], { 'kept.test': kept.print });
  const replaced = await replace(first, kept.id, 'kept.test', '1ms');
  assert.equal(replaced.revision, abandoned.revision, 'one number for two states');
  await upload(first, 'after.test', '1ms');
  for (const pid of late.workerPids()) process.kill(pid, 'SIGCONT');
  late.kill('SIGCONT');
  await serveAll(cluster.nodes, { 'kept.test': replaced.print, 'removed.test': removed.print });
  assert.deepEqual((await upload(first, 'end.test')).applied, ['node-0', 'node-1']);
  await second[Symbol.asyncDispose]();
  await dump[Symbol.asyncDispose]();
});

interface Written {
  readonly id: string;
  readonly print: string;
  readonly revision: number;
  readonly applied: readonly string[];
}

async function upload(node: Gateway, name: string, wait = 'cluster'): Promise<Written> {
  const pair = makeSelfSigned({ names: [name] });
  return written(pair, await expectOk(node.admin, 'POST', `/certificates?wait=${wait}`, { ...pair, snis: [name] }));
}

async function replace(node: Gateway, id: string, name: string, wait = 'cluster'): Promise<Written> {
  const pair = makeSelfSigned({ names: [name] });
  return written(pair, await expectOk(node.admin, 'PATCH', `/certificates/${id}?wait=${wait}`, pair));
}

function written({ cert }: { readonly cert: string }, answer: Awaited<ReturnType<typeof call>>): Written {
  return {
    id: answer.body.id,
    print: new X509Certificate(cert).fingerprint256,
    revision: answer.revision ?? 0,
    applied: answer.body.cluster.applied.map(({ name }: { name: string }) => name).toSorted(),
  };
}

/** Undefined stands for the default certificate. */
async function serveAll(
  nodes: readonly Gateway[],
  wanted: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  for (const [at, { tlsPort }] of nodes.entries()) {
    for (const [name, print] of Object.entries(wanted)) {
      await until(`node ${at} serves ${name} as it should be`, async () => {
        const seen = await handshake(tlsPort, name);
        return print === undefined ? seen.subject === 'localhost' : seen.fingerprint256 === print;
      });
    }
  }
}

/** What `pg_dump` and `pg_restore --single-transaction` do, without their binaries. */
async function dumpOf(server: PostgresServer): Promise<AsyncDisposable & { restore(): Promise<void> }> {
  const sql = postgres(server.url, { max: 1, onnotice: () => undefined });
  const tables = await sql`SELECT table_schema AS schema, table_name AS name,
      EXISTS (SELECT FROM information_schema.columns c WHERE (c.table_schema, c.table_name) = (t.table_schema, t.table_name)
        AND is_identity = 'YES') AS identity
    FROM information_schema.tables t WHERE table_schema LIKE 's%' AND table_schema NOT LIKE 'saved%'
      AND EXISTS (SELECT FROM information_schema.tables o WHERE o.table_schema = t.table_schema AND table_name = 'bindings')`;
  const saved = `saved_${tables.length}_${Date.now()}`;
  await sql.unsafe(`CREATE SCHEMA ${saved}`);
  await sql.begin('ISOLATION LEVEL REPEATABLE READ', async (tx) => {
    for (const { schema, name } of tables) await tx.unsafe(`CREATE TABLE ${saved}.${name} AS TABLE ${schema}.${name}`);
  });
  return {
    async restore() {
      await sql.begin(async (tx) => {
        await tx.unsafe(`TRUNCATE ${tables.map(({ schema, name }) => `${schema}.${name}`).join()} RESTART IDENTITY`);
        await tx.unsafe(`SET LOCAL session_replication_role = replica`);
        for (const { schema, name, identity } of tables) {
          await tx.unsafe(`INSERT INTO ${schema}.${name} OVERRIDING SYSTEM VALUE SELECT * FROM ${saved}.${name}`);
          if (identity === true) {
            await tx.unsafe(
              `SELECT setval(pg_get_serial_sequence('${schema}.${name}', 'sequence'), max(sequence)) FROM ${saved}.${name}`,
            );
          }
        }
      });
    },
    [Symbol.asyncDispose]: () => sql.end(),
  };
}
